/* SPDX-License-Identifier: Apache-2.0 */
/* lies_room.h - the lies about what lies on a disk, for the table in lies.c. */
#ifndef TESTS_SIM_LIES_ROOM_H
#define TESTS_SIM_LIES_ROOM_H

#include "sim.h"

void lies_never_prunes(struct sim *sim);
void lies_never_compacts(struct sim *sim);
void lies_over_snapshot_files(struct sim *sim);
void lies_over_segment_files(struct sim *sim);
void lies_over_spares(struct sim *sim);
void lies_nobody_drops(struct sim *sim);

#endif
