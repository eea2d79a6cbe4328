/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shell.h - the scripts that make a shell complete gavel and gaveld: `gavel completion`, `gaveld --completion`.
 */
#ifndef CORE_HOST_SHELL_H
#define CORE_HOST_SHELL_H

/*
 * The script for "bash" or "zsh"; NULL for another shell. It knows nothing of options and commands: it asks the program
 * that is being typed (core/host/usage.h). contrib/completion holds the same text, which is what gets installed.
 */
const char *shell_script(const char *shell);

#endif
