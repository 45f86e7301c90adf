/* The command-line tool: picks the subcommand. */
#include "tools/completion.h"
#include "tools/manual.h"
#include "tools/report.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

static int run_command(const char *name, int argc, char **argv) {
  const command *command = command_find(name);
  int code = EXIT_REFUSED;
  if (!command) return tool_error("there is no command '%s'; norma --help says what there is", name);
  struct common_settings *settings = settings_parse(command, argc, argv, &code);
  if (settings) code = command->run(settings);
  settings_free(settings);
  return code;
}

/* Whether commands are called "GROUP NAME". */
static bool is_group(const char *group) {
  for (size_t i = 0; i < command_table_count; i++) {
    if (command_in_group(command_table[i], group)) return true;
  }
  return false;
}

/* "bn: fold, freeze, list or reestimate?" */
static int ask_for_command(const char *group) {
  char names[256] = "";
  const char *next = NULL;
  for (size_t i = 0; i <= command_table_count; i++) {
    const char *name = i < command_table_count ? command_in_group(command_table[i], group) : NULL;
    if (!name && i < command_table_count) continue;
    const size_t used = strlen(names);
    const char *separator = !used ? "" : name ? ", " : " or ";
    if (next) snprintf(names + used, sizeof names - used, "%s%s", separator, next);
    next = name;
  }
  return tool_error("%s: %s? norma %s --help says more", group, names, group);
}

static int run_of_group(const char *group, int argc, char **argv) {
  char name[64];
  if (argc < 2) return ask_for_command(group);
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
    manual_print_group(stdout, group);
    return EXIT_YES;
  }
  snprintf(name, sizeof name, "%s %s", group, argv[1]);
  return run_command(name, argc - 1, argv + 1);
}

/* norma help [COMMAND], where COMMAND may be two words or a group. */
static int help(int argc, char **argv) {
  char name[64];
  const command *command = NULL;
  if (argc == 0) {
    manual_print_overview(stdout);
    return EXIT_YES;
  }
  if (argc == 1 && is_group(argv[0])) {
    manual_print_group(stdout, argv[0]);
    return EXIT_YES;
  }
  snprintf(name, sizeof name, "%s%s%s", argv[0], argc == 2 ? " " : "", argc == 2 ? argv[1] : "");
  if (argc <= 2) command = command_find(name);
  if (!command) return tool_error("there is no command '%s'; norma --help says what there is", argv[argc - 1]);
  manual_print_command(stdout, command);
  return EXIT_YES;
}

/* norma --completion SHELL */
static int print_completion(int argc, char **argv) {
  if (argc == 1 && completion_print(stdout, argv[0])) return EXIT_YES;
  return tool_error("--completion needs the name of a shell, bash or zsh");
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
  } else if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
    manual_print_overview(stdout);
  } else if (strcmp(argv[1], "help") == 0) {
    code = help(argc - 2, argv + 2);
  } else if (strcmp(argv[1], "--version") == 0) {
    manual_print_version(stdout);
  } else if (strcmp(argv[1], "--man") == 0) {
    manual_print_page(stdout);
  } else if (strcmp(argv[1], "--completion") == 0) {
    code = print_completion(argc - 2, argv + 2);
  } else if (is_group(argv[1])) {
    code = run_of_group(argv[1], argc - 1, argv + 1);
  } else {
    code = run_command(argv[1], argc - 1, argv + 1);
  }
  return close_output(code);
}
