#include "tools/completion.h"

#include "tools/command.h"

#include <string.h>

/* Calls print(file, word) for each word of a text like "random, zeros or ones"; false, with nothing printed, where the
 * text is no list of words. */
static bool each_word(FILE *file, const char *text, void (*print)(FILE *file, const char *word, size_t length)) {
  if (!text || !strstr(text, " or ")) return false;
  for (int pass = 0; pass < 2; pass++) {
    for (const char *at = text; *at;) {
      const char *comma = strstr(at, ", "), *other = strstr(at, " or ");
      const char *end = comma && (!other || comma < other) ? comma : other;
      const size_t length = end ? (size_t)(end - at) : strlen(at);
      if (memchr(at, ' ', length)) return false;
      if (pass == 1) print(file, at, length);
      at = end ? end + (end == comma ? 2 : 4) : at + length;
    }
  }
  return true;
}

static void print_spaced(FILE *file, const char *word, size_t length) {
  fprintf(file, " %.*s", (int)length, word);
}

/* What an argument called so stands for. */
static bool is_folder(const char *argument) {
  return strstr(argument, "DIR") && !strstr(argument, "FILE");
}

static bool is_path(const char *argument) {
  static const char *const words[] = {"FILE", "MODEL", "OUT", "DIR", "IN", "OTHER", NULL};
  for (const char *const *word = words; *word; word++) {
    if (strstr(argument, *word) && !strstr(argument, "DIMS")) return true;
  }
  return false;
}

static bool is_pass(const tool_option *option) {
  return strncmp(option->argument, "PASS", 4) == 0;
}

static void print_passes(FILE *file) {
  norma_pass_info pass = {.struct_size = sizeof pass};
  for (size_t i = 0; norma_pass(i, &pass) == NORMA_OK; i++) fprintf(file, " %s", pass.name);
}

/* Whether commands of this name stand in a group, such as "bn list", and this is the first of it. */
static const char *group_of(size_t index, size_t *length) {
  const char *name = command_table[index]->name, *blank = strchr(name, ' ');
  if (!blank) return NULL;
  *length = (size_t)(blank - name);
  for (size_t i = 0; i < index; i++) {
    if (strncmp(command_table[i]->name, name, *length + 1) == 0) return NULL;
  }
  return name;
}

/* Top-level words: commands without group, and groups. */
static void print_first_words(FILE *file) {
  size_t length;
  for (size_t i = 0; i < command_table_count; i++) {
    const char *group = group_of(i, &length);
    if (group) fprintf(file, " %.*s", (int)length, group);
    if (!strchr(command_table[i]->name, ' ')) fprintf(file, " %s", command_table[i]->name);
  }
  fprintf(file, " help");
}

/* ------------------------------------------------------------------------------------------------------------- bash */

static void print_bash_names(FILE *file, const command_option *options) {
  for (; options && options->option; options++) {
    if (options->option->letter) fprintf(file, " -%c", options->option->letter);
    if (options->option->name) fprintf(file, " --%s", options->option->name);
  }
}

/* A branch for the words that complete the argument of an option: `prefix` keeps options of one command apart. */
static void print_bash_arguments(FILE *file, const char *prefix, const command_option *options) {
  for (; options && options->option; options++) {
    const tool_option *option = options->option;
    if (!option->argument) continue;
    fprintf(file, "    ");
    if (option->letter) fprintf(file, "'%s -%c'", prefix, option->letter);
    if (option->name) fprintf(file, "%s'%s --%s'", option->letter ? " | " : "", prefix, option->name);
    if (is_pass(option)) {
      fprintf(file, ") words=\"");
      print_passes(file);
      fprintf(file, "\" ;;\n");
      continue;
    }
    fprintf(file, ") ");
    if (is_folder(option->argument)) {
      fprintf(file, "kind=folder ;;\n");
    } else if (is_path(option->argument)) {
      fprintf(file, "kind=file ;;\n");
    } else {
      fprintf(file, "kind=none words=\"");
      each_word(file, option->expected, print_spaced);
      fprintf(file, "\" ;;\n");
    }
  }
}

static void print_bash(FILE *file) {
  fprintf(file,
          "# Completion of norma for bash, written by `norma --completion bash`.\n"
          "_norma() {\n"
          "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} words= kind= command\n"
          "  local first=${COMP_WORDS[1]} at=2\n"
          "  COMPREPLY=()\n"
          "  if [ \"$COMP_CWORD\" = 1 ]; then\n"
          "    mapfile -t COMPREPLY < <(compgen -W '");
  print_first_words(file);
  fprintf(file, " --help --version' -- \"$current\")\n    return\n  fi\n"
                "  if [ \"$first\" = help ]; then\n    first=${COMP_WORDS[2]} at=3\n"
                "    if [ \"$COMP_CWORD\" = 2 ]; then\n      mapfile -t COMPREPLY < <(compgen -W '");
  print_first_words(file);
  fprintf(file, "' -- \"$current\")\n      return\n    fi\n  fi\n  command=$first\n  case $first in\n");
  for (size_t i = 0, length; i < command_table_count; i++) {
    const char *group = group_of(i, &length);
    if (!group) continue;
    fprintf(file, "  %.*s)\n    if [ \"$COMP_CWORD\" = $at ]; then\n      mapfile -t COMPREPLY < <(compgen -W '",
            (int)length, group);
    for (size_t k = 0; k < command_table_count; k++) {
      if (strncmp(command_table[k]->name, group, length + 1) == 0)
        fprintf(file, " %s", command_table[k]->name + length + 1);
    }
    fprintf(file, "' -- \"$current\")\n      return\n    fi\n    command=\"$first ${COMP_WORDS[at]}\" ;;\n");
  }
  fprintf(file, "  esac\n  [ \"${COMP_WORDS[1]}\" != help ] || return 0\n  case \"$command $previous\" in\n");
  for (size_t i = 0; i < command_table_count; i++) {
    print_bash_arguments(file, command_table[i]->name, command_table[i]->options);
    print_bash_arguments(file, command_table[i]->name, common_options);
  }
  fprintf(file, "  esac\n  if [ -z \"$kind$words\" ]; then\n    kind=file\n    case $current in\n    -*)\n"
                "      kind=none\n      case $command in\n");
  for (size_t i = 0; i < command_table_count; i++) {
    fprintf(file, "      '%s') words='", command_table[i]->name);
    print_bash_names(file, command_table[i]->options);
    print_bash_names(file, common_options);
    fprintf(file, "' ;;\n");
  }
  fprintf(file, "      esac ;;\n    esac\n    case $command in\n");
  for (size_t i = 0; i < command_table_count; i++) {
    if (command_table[i]->argument && is_folder(command_table[i]->argument))
      fprintf(file, "    '%s') [ $kind = none ] || kind=folder ;;\n", command_table[i]->name);
  }
  fprintf(file, "    esac\n  fi\n"
                "  case $kind in\n"
                "  folder) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- \"$current\") ;;\n"
                "  file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- \"$current\") ;;\n"
                "  *) mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\") ;;\n"
                "  esac\n}\ncomplete -F _norma norma\n");
}

/* -------------------------------------------------------------------------------------------------------------- zsh */

/* Text inside '...:[...]': quotes, brackets and colons would end it. */
static void print_zsh_text(FILE *file, const char *text) {
  for (; *text && *text != '\n'; text++) {
    if (*text == '\'') {
      fputs("'\\''", file);
      continue;
    }
    if (strchr("[]:\\", *text)) fputc('\\', file);
    fputc(*text, file);
  }
}

static void print_zsh_spec(FILE *file, const tool_option *option, const char *written) {
  fprintf(file, "      '*%s[", written);
  print_zsh_text(file, option->text);
  fputc(']', file);
  if (option->argument) {
    fputc(':', file);
    print_zsh_text(file, option->argument);
    fputc(':', file);
    if (is_pass(option)) {
      fputc('(', file);
      print_passes(file);
      fputc(')', file);
    } else if (is_path(option->argument)) {
      fputs(is_folder(option->argument) ? "_files -/" : "_files", file);
    } else if (option->expected && strstr(option->expected, " or ") && !strstr(option->expected, " such as ")) {
      fputc('(', file);
      each_word(file, option->expected, print_spaced);
      fputc(')', file);
    }
  }
  fprintf(file, "' \\\n");
}

static void print_zsh_options(FILE *file, const command_option *options) {
  for (; options && options->option; options++) {
    char written[64];
    if (options->option->letter) {
      snprintf(written, sizeof written, "-%c", options->option->letter);
      print_zsh_spec(file, options->option, written);
    }
    if (options->option->name) {
      snprintf(written, sizeof written, "--%s", options->option->name);
      print_zsh_spec(file, options->option, written);
    }
  }
}

static void print_zsh(FILE *file) {
  fprintf(file, "#compdef norma\n# Completion of norma for zsh, written by `norma --completion zsh`.\n_norma() {\n"
                "  local command=${words[2]} skip=1\n"
                "  if (( CURRENT == 2 )) || [[ $command == help && CURRENT -eq 3 ]]; then\n    compadd --");
  print_first_words(file);
  fprintf(file, "\n    return\n  fi\n  case $command in\n");
  for (size_t i = 0, length; i < command_table_count; i++) {
    const char *group = group_of(i, &length);
    if (!group) continue;
    fprintf(file, "  %.*s)\n    if (( CURRENT == 3 )); then\n      compadd --", (int)length, group);
    for (size_t k = 0; k < command_table_count; k++) {
      if (strncmp(command_table[k]->name, group, length + 1) == 0)
        fprintf(file, " %s", command_table[k]->name + length + 1);
    }
    fprintf(file, "\n      return\n    fi\n    command=\"$command ${words[3]}\" skip=2 ;;\n");
  }
  fprintf(file, "  esac\n  shift $skip words\n  (( CURRENT -= skip ))\n  case $command in\n");
  for (size_t i = 0; i < command_table_count; i++) {
    const command *command = command_table[i];
    fprintf(file, "  '%s')\n    _arguments \\\n", command->name);
    print_zsh_options(file, command->options);
    print_zsh_options(file, common_options);
    const char *argument = command->argument ? command->argument : "";
    fprintf(file, "      '*:%s:%s' ;;\n", argument,
            !argument[0]          ? ""
            : is_folder(argument) ? "_files -/"
            : is_path(argument)   ? "_files"
                                  : "");
  }
  fprintf(file, "  esac\n}\n_norma \"$@\"\n");
}

bool completion_print(FILE *file, const char *shell) {
  if (strcmp(shell, "bash") == 0) {
    print_bash(file);
  } else if (strcmp(shell, "zsh") == 0) {
    print_zsh(file);
  } else {
    return false;
  }
  return true;
}
