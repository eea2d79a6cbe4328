/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/raft/bugs.h - the bugs that can be switched on in a build with seeded bugs, each with the test that
 * must see it.
 *
 * A rule is only tested if breaking it makes a test fail. Each row breaks one rule: its name (GAVEL_BUG=name
 * for the tests) and the scenario in tests/scenarios that must fail. tests/mutants.sh runs them all. Normal
 * builds contain none of this: raft_bug() is the constant false there.
 */
#ifndef GAVEL_CORE_RAFT_BUGS_H
#define GAVEL_CORE_RAFT_BUGS_H

#define RAFT_BUGS(X) \
    X(VOTE_TWICE, "raft-vote-twice", "vote-once-in-a-term") \
    X(VOTE_FORGOTTEN, "raft-vote-forgotten", "candidate-steps-down-keeps-vote") \
    X(VOTE_FIELDWISE, "raft-vote-fieldwise", "log-compared-field-by-field") \
    X(VOTE_ANY_LOG, "raft-vote-any-log", "election-restriction") \
    X(VOTE_COMPACTED, "raft-vote-compacted", "compacted-log-compared-as-term-zero") \
    X(VOTE_UNGATED, "raft-vote-ungated", "gate-vote-grant") \
    X(CANDIDACY_UNGATED, "raft-candidacy-ungated", "gate-vote-request") \
    X(TERM_UNGATED, "raft-term-ungated", "gate-term") \
    X(OWN_VOTE_UNGATED, "raft-own-vote-ungated", "gate-own-vote") \
    X(PREVOTE_COUNTS, "raft-prevote-counts", "prevote-answer-is-not-a-vote") \
    X(PREVOTE_BINDS, "raft-prevote-binds", "prevote-resets-the-vote") \
    X(PREVOTE_OFF, "raft-prevote-off", "partitioned-node-returns") \
    X(STICKINESS_OFF, "raft-stickiness-off", "removed-member-disturbs-nobody") \
    X(CHECK_QUORUM_OFF, "raft-check-quorum-off", "leader-without-quorum-steps-down") \
    X(LEARNER_SILENT, "raft-learner-silent", "learner-must-answer-as-voter") \
    X(COMMIT_OLD_TERM, "raft-commit-old-term", "figure-8") \
    X(COMMIT_UNSORTED, "raft-commit-unsorted", "commit-needs-a-majority") \
    X(COMMIT_COUNTS_REMOVED, "raft-commit-counts-removed", "removed-leader-does-not-count-itself") \
    X(COMMIT_STALE_TAIL, "raft-commit-stale-tail", "follower-commits-its-stale-tail") \
    X(OWN_ENTRY_UNGATED, "raft-own-entry-ungated", "gate-own-entry") \
    X(ALONE_UNGATED, "raft-alone-ungated", "gate-cluster-of-one") \
    X(ACK_UNGATED, "raft-ack-ungated", "gate-append-answer") \
    X(WRITE_FAILURE_IGNORED, "raft-write-failure-ignored", "failed-append-reuses-the-index") \
    X(TRUNCATE_PREFIX, "raft-truncate-prefix", "stale-append-is-a-prefix") \
    X(PREV_COMPACTED, "raft-prev-compacted", "prev-inside-the-compacted-range") \
    X(PREV_ZERO, "raft-prev-zero", "prev-zero-is-checked") \
    X(PREV_UNCHECKED, "raft-prev-unchecked", "log-matching") \
    X(CONFLICT_KEPT, "raft-conflict-kept", "figure-7") \
    X(PROPOSE_GAP, "raft-propose-gap", "propose-across-a-term-change") \
    X(LATE_COMPLETION, "raft-late-completion", "late-completion-after-truncation") \
    X(TERM_AFTER_ENTRY, "raft-term-after-entry", "term-durable-before-its-entries") \
    X(CHANGE_TOO_EARLY, "raft-change-too-early", "single-server-change-bug") \
    X(CHANGE_IN_FLIGHT, "raft-change-in-flight", "one-change-at-a-time") \
    X(CONFIG_NOT_POPPED, "raft-config-not-popped", "truncated-configuration-is-popped") \
    X(CONFIG_NOT_RESTORED, "raft-config-not-restored", "configuration-comes-from-the-snapshot") \
    X(JOINT_NOT_LEFT, "raft-joint-not-left", "joint-state-outlives-its-leader") \
    X(JOINT_ONE_MAJORITY, "raft-joint-one-majority", "joint-needs-both-majorities") \
    X(REMOVED_LEADER_STAYS, "raft-removed-leader-stays", "removed-leader-steps-down") \
    X(APPLY_DURING_INSTALL, "raft-apply-during-install", "install-concurrent-with-apply") \
    X(SNAPSHOT_STUCK, "raft-snapshot-stuck", "snapshot-state-ends-when-caught-up") \
    X(SNAPSHOT_OUTRUN, "raft-snapshot-outrun", "snapshot-transfer-restarts-for-ever") \
    X(SNAPSHOT_BACKWARDS, "raft-snapshot-backwards", "old-snapshot-is-not-installed") \
    X(SNAPSHOT_KEEPS_TAIL, "raft-snapshot-keeps-tail", "snapshot-install") \
    X(SNAPSHOT_STALLS, "raft-snapshot-stalls", "snapshot-without-progress-lets-go") \
    X(SNAPSHOT_TO_THE_DEAD, "raft-snapshot-to-the-dead", "dead-peer-does-not-hold-the-log") \
    X(READ_TOO_EARLY, "raft-read-too-early", "read-before-own-term-commit") \
    X(READ_UNCONFIRMED, "raft-read-unconfirmed", "read-needs-a-quorum") \
    X(READ_ANY_ANSWER, "raft-read-any-answer", "read-answer-of-an-older-attempt") \
    X(READ_OLD_ROUND, "raft-read-old-round", "read-needs-its-own-round") \
    X(HEARTBEAT_GATED, "raft-heartbeat-gated", "heartbeat-does-not-wait-for-the-disk") \
    X(STALL_IGNORED, "raft-stall-ignored", "hung-disk-hands-over") \
    X(RECOVERING_VOTES, "raft-recovering-votes", "recovering-does-not-vote") \
    X(RECOVERING_ACKS, "raft-recovering-acks", "recovering-does-not-count") \
    X(RECOVERY_EARLY, "raft-recovery-early", "recovery-ends-at-own-term-commit") \
    X(RECOVERY_UNKNOWN, "raft-recovery-unknown", "recovery-needs-a-leader-that-knows") \
    X(RECOVERY_UNGATED, "raft-recovery-ungated", "gate-end-of-recovery") \
    X(NO_HEIR, "raft-no-heir", "removed-leader-waits-for-an-heir") \
    X(FENCED_PROMOTED, "raft-fenced-promoted", "fenced-is-not-promoted") \
    X(HEIR_FENCED, "raft-heir-fenced", "removed-leader-waits-for-a-fenced-heir") \
    X(HEIR_RECOVERS, "raft-heir-recovers", "removed-leader-waits-for-a-recovering-heir") \
    X(REFUSAL_BARE, "raft-refusal-bare", "refusal-says-that-the-sender-recovers") \
    X(INSTALLED_UNGATED, "raft-installed-ungated", "gate-snapshot-answer") \
    X(FAILOVER_SLOW, "raft-failover-slow", "fast-failover") \
    X(FAILOVER_RASH, "raft-failover-rash", "broken-link-alone-does-nothing") \
    X(TRANSFER_BEHIND, "raft-transfer-behind", "transfer") \
    X(TRANSFER_FOREVER, "raft-transfer-forever", "transfer-times-out") \
    X(FENCED_LEADS_ON, "raft-fenced-leads-on", "fenced-successor-is-fenced-too") \
    X(PRIORITY_ZERO, "raft-priority-zero", "priority-zero-never-leads") \
    X(SPACE_IGNORED, "raft-space-ignored", "no-space-refuses-commands") \
    X(JOINING_STAYS, "raft-joining-stays", "joining-is-promoted") \
    X(CONFIG_WHEN_COMMITTED, "raft-config-when-committed", "configuration-in-force-when-appended")

enum raft_bug {
#define RAFT_BUG_ENUM(symbol, name, scenario) RAFT_BUG_##symbol,
    RAFT_BUGS(RAFT_BUG_ENUM)
#undef RAFT_BUG_ENUM
    RAFT_BUG_COUNT
};

#endif
