/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page.h - field tables as sections of a manual page in mdoc(7): gaveld --man. Pages hold what these print between two
 * comments, "make update-docs" writes it anew, and a test tells when a page is stale.
 */
#ifndef CORE_HOST_PAGE_H
#define CORE_HOST_PAGE_H

#include "core/host/loader.h"

#include <stdio.h>

/* OPTIONS of a plugin, and COMMANDS of a state machine. */
void host_page_plugin(const struct host_plugin *plugin, FILE *out);

/* The host's own sections as subsections: for gavel.ini(5). */
void host_page_sections(FILE *out);

/* Metrics and spans: for gavel-metrics(7). */
void host_page_metrics(FILE *out);

#endif
