#include "tools/options.h"

#include "tools/command.h"
#include "tools/manual.h"
#include "tools/report.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------------------- pool */

typedef struct pool_block {
  struct pool_block *next;
  _Alignas(16) char data[];
} pool_block;

struct option_pool {
  pool_block *blocks;
};

void *option_pool_allocate(option_pool *pool, size_t bytes) {
  pool_block *block = calloc(1, sizeof *block + bytes);
  if (!block) return NULL;
  block->next = pool->blocks;
  pool->blocks = block;
  return block->data;
}

static void option_pool_free(option_pool *pool) {
  while (pool->blocks) {
    pool_block *next = pool->blocks->next;
    free(pool->blocks);
    pool->blocks = next;
  }
}

/* Settings of a command, with what their lists lie in. */
typedef struct settings_block {
  option_pool pool;
  _Alignas(16) char settings[];
} settings_block;

static settings_block *block_of(struct common_settings *settings) {
  return (settings_block *)(void *)((char *)settings - offsetof(settings_block, settings));
}

void settings_free(struct common_settings *settings) {
  if (!settings) return;
  option_pool_free(&block_of(settings)->pool);
  free(block_of(settings));
}

/* --------------------------------------------------------------------------------------------------- options of all */

static bool take_level(void *place, const char *text, option_pool *pool) {
  int64_t number;
  (void)pool;
  if (!parse_integer(text, 0, 2, &number)) return false;
  *(int *)place = (int)number;
  return true;
}

static bool take_denormals(void *place, const char *text, option_pool *pool) {
  const bool flush = strcmp(text, "flush") == 0;
  (void)pool;
  *(norma_denormals *)place = flush ? NORMA_DENORMALS_FLUSH : NORMA_DENORMALS_KEEP;
  return flush || strcmp(text, "keep") == 0;
}

static const tool_option all_options[] = {
    {"threads", 't', "N", "threads that compute, this one included (default: the CPUs that this process may use)",
     "a number of threads", take_positive},
    {NULL, 'O', "LEVEL",
     "how much the graph is rewritten: 0 runs it exactly as exported, 1 folds constants and removes what does nothing, "
     "2 fuses operators as well (default: 2)",
     "0, 1 or 2", take_level},
    {"disable", 0, "PASS,...", "leave out these passes", "names of passes", take_names},
    {"exact", 0, NULL,
     "only what rounds as -O 0 does: no Winograd, no channel blocks, no scale goes into weights; slower", NULL,
     take_flag},
    {"denormals", 0, "HOW",
     "numbers nearer to 0 than the smallest normal one: keep, which is slow on many CPUs, or flush them to 0 (default: "
     "keep at -O 0 and with --exact, else flush)",
     "keep or flush", take_denormals},
    {"max-memory", 0, "SIZE", "budget for all memory, such as 512MiB or 2GiB (default: no limit)",
     "a size such as 2GiB", take_size},
    {"timeout", 0, "TIME",
     "end a load, a run or a writing of a model that takes longer, such as 5s, 100ms or 2min (default: no limit; for "
     "test 60s for each test)",
     "a time such as 5s", take_duration},
    {"quiet", 0, NULL, "no progress and no warnings", NULL, take_flag},
    {"help", 'h', NULL, "print this and exit", NULL, NULL},
    {"version", 0, NULL, "print the version and what the build contains, and exit", NULL, NULL},
};

static const tool_option *const help_option = &all_options[8], *const version_option = &all_options[9];

const command_option common_options[] = {
    {&all_options[0], offsetof(struct common_settings, threads)},
    {&all_options[1], offsetof(struct common_settings, level)},
    {&all_options[2], offsetof(struct common_settings, disabled)},
    {&all_options[3], offsetof(struct common_settings, exact)},
    {&all_options[4], offsetof(struct common_settings, denormals)},
    {&all_options[5], offsetof(struct common_settings, max_memory)},
    {&all_options[6], offsetof(struct common_settings, timeout)},
    {&all_options[7], offsetof(struct common_settings, quiet)},
    {&all_options[8], 0},
    {&all_options[9], 0},
    {NULL, 0},
};

/* ---------------------------------------------------------------------------------------------------------- parsing */

typedef struct option_parser {
  const command *command;
  char **argv;
  int argc, next; /* next: the argument that is read next */
  settings_block *block;
  int *exit_code;
} option_parser;

static const command_option *const no_options = &(const command_option){NULL, 0};

/* The option of this name (of `length` characters) or, where that is NULL, of this letter. */
static const command_option *find_option(const command *command, const char *name, size_t length, char letter) {
  const command_option *lists[] = {command->options ? command->options : no_options, common_options};
  for (int list = 0; list < 2; list++) {
    for (const command_option *one = lists[list]; one->option; one++) {
      const tool_option *option = one->option;
      if (name ? option->name && strlen(option->name) == length && memcmp(option->name, name, length) == 0
               : option->letter == letter) {
        return one;
      }
    }
  }
  return NULL;
}

static bool no_such_option(const option_parser *parser, const char *text) {
  tool_error("%s: there is no option '%s'; norma %s --help says what there is", parser->command->name, text,
             parser->command->name);
  return false;
}

/* --help and --version end the parsing; the answer is yes. */
static bool is_question(const option_parser *parser, const tool_option *option) {
  if (option != help_option && option != version_option) return false;
  if (option == help_option) {
    manual_print_command(stdout, parser->command);
  } else {
    manual_print_version(stdout);
  }
  *parser->exit_code = EXIT_YES;
  return true;
}

/* One option that was found. `text` is the argument that stands in the same word, NULL if there is none; `written` is
 * how the option stands there. */
static bool take_option(option_parser *parser, const command_option *found, const char *text, const char *written) {
  const tool_option *option = found->option;
  if (is_question(parser, option)) return false;
  if (option->argument && !text) {
    if (parser->next == parser->argc) {
      tool_error("%s: option '%s' needs an argument; norma %s --help says more", parser->command->name, written,
                 parser->command->name);
      return false;
    }
    text = parser->argv[parser->next++];
  }
  if (option->take(parser->block->settings + found->place, text, &parser->block->pool)) return true;
  char letter[2] = {option->letter, '\0'};
  tool_error("%s: %s%s %s: expected %s", parser->command->name, option->name ? "--" : "-",
             option->name ? option->name : letter, text ? text : "",
             option->expected ? option->expected : "something else");
  return false;
}

/* "--name" or "--name=argument" */
static bool take_long(option_parser *parser, const char *word) {
  const char *name = word + 2, *equals = strchr(name, '=');
  const size_t length = equals ? (size_t)(equals - name) : strlen(name);
  const command_option *found = find_option(parser->command, name, length, 0);
  if (!found || (equals && !found->option->argument)) return no_such_option(parser, word);
  return take_option(parser, found, equals ? equals + 1 : NULL, word);
}

/* "-x", "-xargument" or "-xyz" for several without arguments */
static bool take_letters(option_parser *parser, const char *word) {
  for (const char *letter = word + 1; *letter; letter++) {
    const char written[3] = {'-', *letter, '\0'};
    const command_option *found = find_option(parser->command, NULL, 0, *letter);
    if (!found) return no_such_option(parser, written);
    const bool has_argument = found->option->argument != NULL;
    if (!take_option(parser, found, has_argument && letter[1] ? letter + 1 : NULL, written)) return false;
    if (has_argument) return true;
  }
  return true;
}

static bool check_arguments(const struct common_settings *settings, const command *command) {
  if ((int)settings->argument_count < command->min_arguments) {
    tool_error("%s: %s is missing; norma %s --help says what it takes", command->name, command->argument,
               command->name);
    return false;
  }
  if (command->max_arguments >= 0 && (int)settings->argument_count > command->max_arguments) {
    tool_error("%s: '%s' is one argument too many; norma %s --help says what it takes", command->name,
               settings->arguments[command->max_arguments], command->name);
    return false;
  }
  return true;
}

static bool parse_all(option_parser *parser, struct common_settings *settings) {
  bool only_arguments = false; /* after "--" */
  const char **arguments = option_pool_allocate(&parser->block->pool, (size_t)parser->argc * sizeof *arguments);
  if (!arguments) {
    tool_error("out of memory");
    return false;
  }
  settings->arguments = arguments;
  while (parser->next < parser->argc) {
    const char *word = parser->argv[parser->next++];
    if (only_arguments || word[0] != '-' || word[1] == '\0') { /* "-" is standard input */
      arguments[settings->argument_count++] = word;
    } else if (strcmp(word, "--") == 0) {
      only_arguments = true;
    } else if (!(word[1] == '-' ? take_long(parser, word) : take_letters(parser, word))) {
      return false;
    }
  }
  return check_arguments(settings, parser->command);
}

struct common_settings *settings_parse(const command *command, int argc, char **argv, int *exit_code) {
  *exit_code = EXIT_REFUSED;
  settings_block *block = calloc(1, sizeof *block + command->settings_size);
  if (!block) {
    tool_error("out of memory");
    return NULL;
  }
  if (command->defaults) memcpy(block->settings, command->defaults, command->settings_size);
  struct common_settings *settings = (void *)block->settings;
  settings->level = -1;
  option_parser parser = {command, argv, argc, 1, block, exit_code};
  if (parse_all(&parser, settings)) return settings;
  settings_free(settings);
  return NULL;
}

/* -------------------------------------------------------------------------------------------------- for the library */

static void print_log(void *context, norma_log_level level, const char *line) {
  const struct common_settings *settings = context;
  /* errors come back through norma_error too */
  if (level == NORMA_LOG_WARNING && !settings->quiet) tool_warning("%s", line);
}

norma_runtime_options settings_runtime(const struct common_settings *settings) {
  return (norma_runtime_options){.struct_size = sizeof(norma_runtime_options),
                                 .threads = settings->threads,
                                 .max_memory_bytes = settings->max_memory,
                                 .log = print_log,
                                 .log_context = (void *)(uintptr_t)settings};
}

norma_load_options settings_load(const struct common_settings *settings, norma_runtime *runtime, int level) {
  if (level < 0) level = settings->level;
  return (norma_load_options){.struct_size = sizeof(norma_load_options),
                              .runtime = runtime,
                              .optimization = level < 0 ? NORMA_OPTIMIZE_DEFAULT
                                                        : (norma_optimization)(NORMA_OPTIMIZE_NONE + level),
                              .disabled_passes = settings->disabled.items,
                              .disabled_pass_count = settings->disabled.count,
                              .exact = settings->exact,
                              .denormals = settings->denormals,
                              .timeout = settings->timeout};
}

norma_session_options settings_session(const struct common_settings *settings) {
  return (norma_session_options){.struct_size = sizeof(norma_session_options), .timeout = settings->timeout};
}

norma_limits settings_limits(const struct common_settings *settings) {
  return (norma_limits){.struct_size = sizeof(norma_limits), .timeout = settings->timeout};
}

norma_runtime *settings_create_runtime(const struct common_settings *settings) {
  norma_runtime_options options = settings_runtime(settings);
  norma_runtime *runtime = NULL;
  norma_error error;
  if (norma_runtime_create(&options, &runtime, &error) != NORMA_OK) {
    tool_library_error(NULL, &error);
    return NULL;
  }
  return runtime;
}
