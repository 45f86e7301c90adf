/* The subcommands. Each takes its parsed settings, prints results on stdout and errors on stderr, and returns the exit
 * code. */
#ifndef TOOLS_COMMAND_H
#define TOOLS_COMMAND_H

#include "tools/options.h"

int command_run(const struct settings *settings);
int command_inspect(const struct settings *settings);
int command_check(const struct settings *settings);
int command_test(const struct settings *settings);
int command_bench(const struct settings *settings);
int command_compare(const struct settings *settings);
int command_ops(const struct settings *settings);
int command_optimize(const struct settings *settings);
int command_bn_list(const struct settings *settings);
int command_bn_reestimate(const struct settings *settings);
int command_bn_freeze(const struct settings *settings);
int command_bn_fold(const struct settings *settings);

#endif
