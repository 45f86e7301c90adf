#include "tools/manual.h"

#include "tools/bn/bn_ranks.h"
#include "tools/formats/picture.h"

#include <string.h>

const command *command_find(const char *name) {
  for (size_t i = 0; i < command_table_count; i++) {
    if (strcmp(command_table[i]->name, name) == 0) return command_table[i];
  }
  return NULL;
}

const char *command_in_group(const command *command, const char *group) {
  const size_t length = strlen(group);
  return strncmp(command->name, group, length) == 0 && command->name[length] == ' ' ? command->name + length + 1 : NULL;
}

/* The length of the next piece that stays on one line: a word, or with `brackets` what [ ] hold together. */
static int piece_length(const char *text, bool brackets) {
  int length = 0, depth = 0;
  for (; text[length] && text[length] != '\n'; length++) {
    if (brackets) depth += (text[length] == '[') - (text[length] == ']');
    if (text[length] == ' ' && depth == 0) break;
  }
  return length;
}

/* Prints `text` in lines of at most 79 columns, each indented; the first begins at `column`. */
static void print_wrapped(FILE *file, const char *text, int indent, int column, bool brackets) {
  bool blank = false; /* one is due before the next piece */
  while (*text) {
    if (*text == '\n') {
      fprintf(file, "\n%*s", text[1] ? indent : 0, "");
      column = indent;
      blank = false;
      text++;
      continue;
    }
    int length = piece_length(text, brackets);
    if (blank && column + 1 + length > 79) {
      fprintf(file, "\n%*s", indent, "");
      column = indent;
    } else if (blank) {
      fputc(' ', file);
      column++;
    }
    fprintf(file, "%.*s", length, text);
    column += length;
    text += length;
    blank = *text == ' ';
    text += blank;
  }
}

static void print_option(FILE *file, const tool_option *option) {
  enum { TEXT_COLUMN = 26 };
  char head[64];
  const char *argument = option->argument ? option->argument : "";
  if (option->letter && option->name) {
    snprintf(head, sizeof head, "-%c, --%s %s", option->letter, option->name, argument);
  } else if (option->letter) {
    snprintf(head, sizeof head, "-%c %s", option->letter, argument);
  } else {
    snprintf(head, sizeof head, "--%s %s", option->name, argument);
  }
  int column = fprintf(file, "  %s", head);
  if (column < TEXT_COLUMN) {
    fprintf(file, "%*s", TEXT_COLUMN - column, "");
  } else {
    fprintf(file, "\n%*s", TEXT_COLUMN, "");
  }
  print_wrapped(file, option->text, TEXT_COLUMN, TEXT_COLUMN, false);
  fputc('\n', file);
}

static void print_options(FILE *file, const char *title, const command_option *options) {
  if (!options || !options->option) return;
  fprintf(file, "\n%s:\n", title);
  for (; options->option; options++) print_option(file, options->option);
}

void manual_print_overview(FILE *file) {
  fprintf(file, "Norma runs ONNX models.\n\nusage:\n");
  for (size_t i = 0; i < command_table_count; i++) {
    const command *command = command_table[i];
    fprintf(file, "  norma %s%s", command->name, command->synopsis[0] ? " " : "");
    print_wrapped(file, command->synopsis, 10, 9 + (int)strlen(command->name), true);
    fputc('\n', file);
  }
  fprintf(file, "\n");
  for (size_t i = 0; i < command_table_count; i++) {
    fprintf(file, "  %-15s%s\n", command_table[i]->name, command_table[i]->summary);
  }
  print_options(file, "options of all commands", common_options);
  fprintf(file, "\nExit codes: 0 yes; 1 the answer is no (a test failed, something is unsupported,\n"
                "tensors differ); 2 usage, or input that is refused.\n"
                "norma help COMMAND says more.\n");
}

void manual_print_group(FILE *file, const char *group) {
  for (size_t i = 0; i < command_table_count; i++) {
    const command *command = command_table[i];
    if (!command_in_group(command, group)) continue;
    fprintf(file, "  norma %-15s%s\n", command->name, command->summary);
  }
}

void manual_print_command(FILE *file, const command *command) {
  int indent = 14 + (int)strlen(command->name);
  fprintf(file, "usage: norma %s%s", command->name, command->synopsis[0] ? " " : "");
  print_wrapped(file, command->synopsis, indent, indent, true);
  fprintf(file, "\n\n");
  print_wrapped(file, command->text, 0, 0, false);
  print_options(file, "options", command->options);
  print_options(file, "options of all commands", common_options);
}

/* Prints running text for troff: hyphens that are options stay hyphens, no line begins with a control character. */
static void print_troff(FILE *file, const char *text) {
  bool line_start = true;
  for (; *text; text++) {
    if (line_start && (*text == '.' || *text == '\'')) fputs("\\&", file);
    line_start = *text == '\n';
    if (*text == '-') {
      fputs("\\-", file);
    } else if (*text == '\\') {
      fputs("\\e", file);
    } else if (*text == '\n' && text[1]) {
      fputs("\n.PP\n", file);
    } else {
      fputc(*text, file);
    }
  }
}

/* The same for a synopsis: what brackets hold together stays on one line. */
static void print_troff_synopsis(FILE *file, const char *text) {
  int depth = 0;
  for (; *text; text++) {
    depth += (*text == '[') - (*text == ']');
    if (*text == '-' || (*text == ' ' && depth > 0)) fputc('\\', file);
    fputc(*text, file);
  }
}

static void print_troff_options(FILE *file, const command_option *options) {
  for (; options && options->option; options++) {
    const tool_option *option = options->option;
    fputs(".TP\n", file);
    if (option->letter) fprintf(file, "\\fB\\-%c\\fR", option->letter);
    if (option->letter && option->name) fputs(", ", file);
    if (option->name) {
      fputs("\\fB\\-\\-", file);
      print_troff(file, option->name);
      fputs("\\fR", file);
    }
    if (option->argument) {
      fputs(" \\fI", file);
      print_troff(file, option->argument);
      fputs("\\fR", file);
    }
    fputc('\n', file);
    print_troff(file, option->text);
    fputc('\n', file);
  }
}

void manual_print_page(FILE *file) {
  fprintf(file, ".TH NORMA 1 \"\" \"Norma %s\" \"User commands\"\n", norma_version());
  fprintf(file, ".SH NAME\nnorma \\- run, inspect, test and compare ONNX models\n.SH SYNOPSIS\n.ad l\n");
  for (size_t i = 0; i < command_table_count; i++) {
    const command *command = command_table[i];
    fprintf(file, ".HP 8\n\\fBnorma %s\\fR ", command->name);
    print_troff_synopsis(file, command->synopsis);
    fputc('\n', file);
  }
  fprintf(file,
          ".ad b\n.SH DESCRIPTION\nNorma runs models in the ONNX format. Results go to standard output, errors to "
          "standard error as one line that begins with \\(lqnorma:\\(rq. Progress is shown on a terminal only.\n"
          ".SH COMMANDS\n");
  for (size_t i = 0; i < command_table_count; i++) {
    const command *command = command_table[i];
    fprintf(file, ".SS norma %s \\- %s\n", command->name, command->summary);
    print_troff(file, command->text);
    print_troff_options(file, command->options);
  }
  fprintf(file, ".SH OPTIONS OF ALL COMMANDS\n");
  print_troff_options(file, common_options);
  fprintf(file,
          ".SH EXIT STATUS\n.TP\n0\nDone; the answer is yes.\n.TP\n1\nThe answer is no: a test failed, something is "
          "unsupported, tensors differ.\n.TP\n2\nUsage, or input that is refused.\n");
  fprintf(file,
          ".SH ENVIRONMENT\n.TP\nNORMA_KERNELS\nForces a kernel table that this machine can run, such as "
          "sse2: \\-\\-version names all that were built. A table comes with those of its overrides that this machine "
          "can run; avx2:plain is avx2 without them.\n");
}

void manual_print_version(FILE *file) {
  fprintf(file, "norma %s\n%s\npictures: %s\nprocesses: %s\n", norma_version(), norma_build_features(),
          picture_formats(), ranks_version());
}
