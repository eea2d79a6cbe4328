#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# others.sh: bad serializers and observers are found; see bad.sh.
exec "$(dirname "$0")/bad.sh" others.faults
