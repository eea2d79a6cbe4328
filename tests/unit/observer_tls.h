/* SPDX-License-Identifier: Apache-2.0 */
/*
 * observer_tls.h - two certificates for 127.0.0.1 with their keys, each its own authority, good until 2126. They guard
 * nothing.
 */
#ifndef TESTS_UNIT_OBSERVER_TLS_H
#define TESTS_UNIT_OBSERVER_TLS_H

static const char certificate_1[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBhTCCASqgAwIBAgIUbRbZM4iBlB3lFEIe5C5xhULpfq8wCgYIKoZIzj0EAwIw\n"
    "DjEMMAoGA1UEAwwDb25lMCAXDTI2MTEyOTE2MjExMVoYDzIxMjYxMTA1MTYyMTEx\n"
    "WjAOMQwwCgYDVQQDDANvbmUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATVG0Cb\n"
    "pxTtZkhUcVHKeMx4M30XTefKJvwplvNi6+dZ3/SziMe6Wmg9kANGXwfGWoOOXCg6\n"
    "0f+1R8Qc/FqCV2Xpo2QwYjAdBgNVHQ4EFgQUCuoBzmNIsDyCstrcnMSYOcbZxZgw\n"
    "HwYDVR0jBBgwFoAUCuoBzmNIsDyCstrcnMSYOcbZxZgwDwYDVR0TAQH/BAUwAwEB\n"
    "/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0kAMEYCIQDQkLdmWZDmbnTL\n"
    "qqG/9rMR37dnm4+apAYJMLX6DvGsLAIhANhD3AbowC3sBmT9TQ0t4HFaJJluALg5\n"
    "j9WwMgktRRva\n"
    "-----END CERTIFICATE-----\n";

static const char key_1[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgo9CYBYOU4iYuGj5E\n"
    "7bQgW87p9lwrNqRnhBOFKRIIZl+hRANCAATVG0CbpxTtZkhUcVHKeMx4M30XTefK\n"
    "JvwplvNi6+dZ3/SziMe6Wmg9kANGXwfGWoOOXCg60f+1R8Qc/FqCV2Xp\n"
    "-----END PRIVATE KEY-----\n";

static const char certificate_2[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBhTCCASqgAwIBAgIUVJwKerjBVDGSsBqFchhgnQz7NxkwCgYIKoZIzj0EAwIw\n"
    "DjEMMAoGA1UEAwwDdHdvMCAXDTI2MTEyOTE2MjExMVoYDzIxMjYxMTA1MTYyMTEx\n"
    "WjAOMQwwCgYDVQQDDAN0d28wWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATM+uOk\n"
    "iooJRGMO5RVdMgi4AZ1ZDd0Fou7dTwL09KWL1p9aTQNXx+wh4kcoWfgQYAFEEsX4\n"
    "+/dxeavzdZE3W6G5o2QwYjAdBgNVHQ4EFgQUvolRgaQfkN80DlPF1ERtgWQvYjcw\n"
    "HwYDVR0jBBgwFoAUvolRgaQfkN80DlPF1ERtgWQvYjcwDwYDVR0TAQH/BAUwAwEB\n"
    "/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0kAMEYCIQCA4RMu7fvB2SLr\n"
    "pj6Du2++LGuGE1KhZC3t/iXKdUKHwwIhAP/5axch5Iw5cUXbdCn48HWmo8rcK26v\n"
    "BkQmwsk3fv3t\n"
    "-----END CERTIFICATE-----\n";

static const char key_2[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgz33q1dgsdvKHRKxK\n"
    "2Cr+6VogTIeESBdPZLBKp3RRxXmhRANCAATM+uOkiooJRGMO5RVdMgi4AZ1ZDd0F\n"
    "ou7dTwL09KWL1p9aTQNXx+wh4kcoWfgQYAFEEsX4+/dxeavzdZE3W6G5\n"
    "-----END PRIVATE KEY-----\n";

#endif
