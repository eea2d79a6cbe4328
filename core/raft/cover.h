/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/raft/cover.h - marks on rare branches. In a build with --enable-cover each counts how often it is met, and the
 * tests together must meet every one of them (tests/cover.sh); in every other build they are nothing.
 */
#ifndef CORE_RAFT_COVER_H
#define CORE_RAFT_COVER_H

/* symbol, name, what has happened there */
#define RAFT_COVERS(X) \
    X(STICKY, "raft-sticky", "a vote request that comes while a leader is heard is passed over") \
    X(DISK_BEHIND, "raft-disk-behind", "a message is dropped because the disk is far behind") \
    X(QUORUM_LOST, "raft-quorum-lost", "a leader that hears no majority steps down") \
    X(MAY_NOT_LEAD, "raft-may-not-lead", "a timer runs out on who may not lead") \
    X(PREV_COMPACTED, "raft-prev-compacted", "what comes before an append is compacted here") \
    X(CONFLICT, "raft-conflict", "a tail that contradicts the leader is truncated") \
    X(APPEND_DURING_INSTALL, "raft-append-during-install", "an append comes while a snapshot is installed") \
    X(DIVERGED, "raft-diverged", "logs differ where both had committed") \
    X(RECOVERY_ENDS, "raft-recovery-ends", "a damaged log has been fetched again") \
    X(OFFER_IS_OLDER, "raft-offer-is-older", "an older snapshot of the same leader is offered") \
    X(CHUNK_WITHOUT_OFFER, "raft-chunk-without-offer", "a chunk comes of a snapshot that was not offered") \
    X(CHUNK_FAILED, "raft-chunk-failed", "a chunk could not be stored") \
    X(INSTALL_FAILED, "raft-install-failed", "a snapshot could not be installed") \
    X(SNAPSHOT_LET_GO, "raft-snapshot-let-go", "a peer that gets no further with a snapshot is let go") \
    X(CHUNK_ON_ITS_WAY, "raft-chunk-on-its-way", "a question of before is answered while a chunk is on its way") \
    X(CHANGE_TOO_EARLY, "raft-change-too-early", "a change is asked of a leader that has not committed in its term") \
    X(CHANGE_IN_FLIGHT, "raft-change-in-flight", "a change is asked for while another is under way") \
    X(JOINT_LEFT, "raft-joint-left", "a leader proposes to leave the joint configuration") \
    X(LEADER_REMOVED, "raft-leader-removed", "a leader steps down since it is no member any more") \
    X(TRANSFER_TARGET_GONE, "raft-transfer-target-gone", "who was to lead next is not fit to any more") \
    X(TRANSFER_LATE, "raft-transfer-late", "a transfer takes too long") \
    X(DISK_STALLS, "raft-disk-stalls", "a leader with a hung disk hands over") \
    X(STALL_WITHOUT_MAJORITY, "raft-stall-without-majority", "a leader with a hung disk leads on: nobody does better") \
    X(PRIORITY_YIELDS, "raft-priority-yields", "a leader gives way to one of higher priority") \
    X(PRIORITY_NEEDED, "raft-priority-needed", "who is never to lead does, to hand over what it alone holds") \
    X(READ_TOO_EARLY, "raft-read-too-early", "a read waits for the leader to commit in its term") \
    X(READ_LATE, "raft-read-late", "an answer to an earlier attempt of a read comes") \
    X(READ_REFUSED, "raft-read-refused", "a read was asked of who leads no more") \
    X(STILL_BEHIND, "raft-still-behind", "who gets a snapshot answers an append, and lacks too much still") \
    X(NO_SPACE, "raft-no-space", "a command is refused for want of space") \
    X(MUCH_WAITS, "raft-much-waits", "a command is refused since too much waits for its commit") \
    X(RING_FULL, "raft-ring-full", "a command is refused since the log has no room above the snapshot") \
    X(OLD_TERM, "raft-old-term", "a majority holds an entry of an earlier term") \
    X(APPLY_WINDOW, "raft-apply-window", "the machine is behind by all that may be under way to it") \
    X(SNAPSHOT_OVERTAKEN, "raft-snapshot-overtaken", "a local snapshot is ready after a newer one was installed")

#ifdef GAVEL_COVER
#include <stdint.h>

enum raft_cover_mark {
#define RAFT_COVER_ENUM(symbol, name, what) RAFT_COVER_##symbol,
    RAFT_COVERS(RAFT_COVER_ENUM)
#undef RAFT_COVER_ENUM
    RAFT_COVER_COUNT
};

/* Laid out and placed as the marks of core/os/cover.h are, so that whoever writes those out finds these too. */
struct raft_cover {
    const char *name;
    uint64_t count;
};
extern struct raft_cover raft_covers[RAFT_COVER_COUNT];
#define RAFT_COVER(symbol) ((void)raft_covers[RAFT_COVER_##symbol].count++)
#else
#define RAFT_COVER(symbol) ((void)0)
#endif

#endif
