#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# transport.sh: bad transports are found; see bad.sh.
exec "$(dirname "$0")/bad.sh" transport.faults
