#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# machine.sh: bad state machines are found; see bad.sh.
exec "$(dirname "$0")/bad.sh" machine.faults
