/* The command-line tool: picks the subcommand. */
#include "tools/command.h"
#include "tools/report.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

typedef struct command {
  const char *name;
  int (*function)(const struct settings *settings);
} command;

static const command commands[] = {
    {"run", command_run},     {"inspect", command_inspect}, {"check", command_check}, {"test", command_test},
    {"bench", command_bench}, {"compare", command_compare}, {"ops", command_ops},
};

static int run_command(const char *name, int argc, char **argv) {
  const manual_command *manual = manual_find(name);
  struct settings settings;
  int code = EXIT_REFUSED;
  if (!manual && (strcmp(name, "optimize") == 0 || strcmp(name, "bn") == 0)) {
    return tool_error("'%s' is not in this build", name);
  }
  if (!manual) return tool_error("there is no command '%s'; norma --help says what there is", name);
  if (settings_parse(&settings, manual, argc, argv, &code)) {
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
      if (strcmp(commands[i].name, name) == 0) code = commands[i].function(&settings);
    }
  }
  settings_free(&settings);
  return code;
}

/* Results that could not be written are no success. */
static int close_output(int code) {
  errno = 0;
  bool failed = ferror(stdout) != 0;
  if (fflush(stdout) != 0) failed = true;
  if (failed) return tool_error("cannot write to standard output: %s", errno ? strerror(errno) : "write error");
  return code;
}

int main(int argc, char **argv) {
  int code = EXIT_YES;
  signal(SIGPIPE, SIG_IGN); /* a reader that goes away is a write error, so that files are cleaned up */
  if (argc < 2) {
    code = tool_error("no command is given; norma --help says what there is");
  } else if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
    manual_print_overview(stdout);
  } else if (strcmp(argv[1], "--version") == 0) {
    manual_print_version(stdout);
  } else if (strcmp(argv[1], "--man") == 0) {
    manual_print_page(stdout);
  } else {
    code = run_command(argv[1], argc - 1, argv + 1);
  }
  return close_output(code);
}
