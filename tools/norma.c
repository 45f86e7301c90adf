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
    {"run", command_run},
    {"inspect", command_inspect},
    {"check", command_check},
    {"test", command_test},
    {"bench", command_bench},
    {"compare", command_compare},
    {"ops", command_ops},
    {"optimize", command_optimize},
    {"bn list", command_bn_list},
    {"bn reestimate", command_bn_reestimate},
    {"bn freeze", command_bn_freeze},
    {"bn fold", command_bn_fold},
};

static int run_command(const char *name, int argc, char **argv) {
  const manual_command *manual = manual_find(name);
  struct settings settings;
  int code = EXIT_REFUSED;
  if (!manual) return tool_error("there is no command '%s'; norma --help says what there is", name);
  if (settings_parse(&settings, manual, argc, argv, &code)) {
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
      if (strcmp(commands[i].name, name) == 0) code = commands[i].function(&settings);
    }
  }
  settings_free(&settings);
  return code;
}

/* The commands of `norma bn`, which have two words. */
static int run_bn_command(int argc, char **argv) {
  char name[64];
  if (argc < 2) return tool_error("bn: list, reestimate, freeze or fold? norma bn --help says more");
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
    for (const manual_command *command = manual_commands; command->name; command++) {
      if (strncmp(command->name, "bn ", 3) == 0) printf("  norma %-15s%s\n", command->name, command->summary);
    }
    return EXIT_YES;
  }
  snprintf(name, sizeof name, "bn %s", argv[1]);
  return run_command(name, argc - 1, argv + 1);
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
  } else if (strcmp(argv[1], "bn") == 0) {
    code = run_bn_command(argc - 1, argv + 1);
  } else {
    code = run_command(argv[1], argc - 1, argv + 1);
  }
  return close_output(code);
}
