#include "tools/options.h"

#include "tools/report.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------------------------------------------- single values */

/* A number that is not negative, and where it ended; NULL if there is none. strtod alone would take blanks, signs,
 * "nan", "inf" and hexadecimal. */
static const char *parse_number(const char *text, double *number) {
  if (!isdigit((unsigned char)text[0]) && !(text[0] == '.' && isdigit((unsigned char)text[1]))) return NULL;
  if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) return NULL;
  char *end;
  *number = strtod(text, &end);
  return isfinite(*number) ? end : NULL;
}

bool parse_size(const char *text, size_t *bytes) {
  double number;
  const char *unit = parse_number(text, &number);
  if (!unit) return false;
  if (*unit == ' ') unit++;
  static const char letters[] = "KMGT";
  const char *letter = *unit ? strchr(letters, toupper((unsigned char)*unit)) : NULL;
  if (letter) {
    int power = (int)(letter - letters) + 1;
    bool decimal = (unit[1] == 'B' || unit[1] == 'b') && unit[2] == '\0';
    unit += decimal || unit[1] == '\0' ? 1 : unit[1] == 'i' ? 2 : 0;
    number *= pow(decimal ? 1000 : 1024, power);
  }
  if (*unit == 'B' || *unit == 'b') unit++;
  if (*unit != '\0' || number < 1 || number >= 9.0e18) return false;
  *bytes = (size_t)number;
  return true;
}

bool parse_duration(const char *text, double *seconds) {
  static const struct {
    const char *name;
    double seconds;
  } units[] = {{"", 1}, {"s", 1}, {"ms", 1e-3}, {"us", 1e-6}, {"m", 60}, {"min", 60}, {"h", 3600}};
  double number;
  const char *unit = parse_number(text, &number);
  for (size_t i = 0; unit && i < sizeof units / sizeof units[0]; i++) {
    if (strcmp(unit, units[i].name) == 0 && number > 0) {
      *seconds = number * units[i].seconds;
      return true;
    }
  }
  return false;
}

int parse_shape(const char *text, int64_t dims[NORMA_MAX_RANK]) {
  if (strcmp(text, "scalar") == 0) return 0;
  int rank = 0;
  while (rank < NORMA_MAX_RANK && isdigit((unsigned char)*text)) {
    char *end;
    errno = 0;
    dims[rank] = strtoll(text, &end, 10);
    if (errno != 0) return -1;
    rank++;
    if (*end == '\0') return rank;
    if ((*end != 'x' && *end != 'X' && *end != ',') || end[1] == '\0') return -1;
    text = end + 1;
  }
  return -1;
}

bool parse_integer(const char *text, int64_t low, int64_t high, int64_t *number) {
  char *end;
  errno = 0;
  if (!isdigit((unsigned char)text[0]) && !(text[0] == '-' && isdigit((unsigned char)text[1]))) return false;
  *number = strtoll(text, &end, 10);
  return errno == 0 && *end == '\0' && *number >= low && *number <= high;
}

bool parse_tolerance(const char *text, double *number) {
  const char *end = parse_number(text, number);
  return end && *end == '\0';
}

/* ---------------------------------------------------------------------------------------------------------- parsing */

static bool append(const char ***list, size_t *count, const char *text) {
  const char **longer = realloc(*list, (*count + 1) * sizeof **list);
  if (!longer) return false;
  longer[(*count)++] = text;
  *list = longer;
  return true;
}

/* Adds names separated by commas to those given before. */
static bool parse_disabled(struct settings *settings, const char *text) {
  size_t size = strlen(text) + 1, used = 0;
  for (size_t i = 0; i < settings->disabled_count; i++) size += strlen(settings->disabled[i]) + 1;
  char *all = malloc(size);
  if (!all) return false;
  for (size_t i = 0; i < settings->disabled_count; i++) {
    used += (size_t)snprintf(all + used, size - used, "%s,", settings->disabled[i]);
  }
  snprintf(all + used, size - used, "%s", text);
  free(settings->disabled_text);
  settings->disabled_text = all;
  settings->disabled_count = 0;
  char *rest = NULL;
  for (char *name = strtok_r(settings->disabled_text, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
    if (!append(&settings->disabled, &settings->disabled_count, name)) return false;
  }
  return true;
}

static bool parse_int(const char *text, int low, int *number) {
  int64_t value;
  if (!parse_integer(text, low, INT_MAX, &value)) return false;
  *number = (int)value;
  return true;
}

static bool parse_level(const char *text, int *level) {
  int64_t value;
  if (!parse_integer(text, 0, 2, &value)) return false;
  *level = (int)value;
  return true;
}

static bool parse_levels(const char *text, int levels[2]) {
  if (strlen(text) != 3 || text[1] != ',') return false;
  for (int i = 0; i < 2; i++) {
    if (text[2 * i] < '0' || text[2 * i] > '2') return false;
    levels[i] = text[2 * i] - '0';
  }
  return true;
}

static bool parse_fill(const char *text, fill_kind *fill) {
  static const char *const names[] = {"random", "zeros", "ones"};
  for (int i = 0; i < 3; i++) {
    if (strcmp(text, names[i]) == 0) {
      *fill = (fill_kind)(FILL_RANDOM + i);
      return true;
    }
  }
  return false;
}

bool parse_real(const char *text, double *number) {
  char *end;
  double above = strtod(text, &end), below = 1;
  bool good = end != text;
  if (good && *end == '/') {
    const char *rest = end + 1;
    below = strtod(rest, &end);
    good = end != rest;
  }
  *number = above / below;
  return good && *end == '\0' && isfinite(*number);
}

bool parse_numbers(const char *text, number_list *list) {
  char one[64];
  list->count = 0;
  for (;;) {
    size_t length = strcspn(text, ",");
    if (length >= sizeof one || list->count == (int)(sizeof list->numbers / sizeof list->numbers[0])) return false;
    memcpy(one, text, length);
    one[length] = '\0';
    if (!parse_real(one, &list->numbers[list->count++])) return false;
    if (text[length] == '\0') return true;
    text += length + 1;
  }
}

/* The index of `text` among names ended by NULL; -1 if it is none of them. */
static int find_word(const char *text, const char *const *names) {
  for (int i = 0; names[i]; i++) {
    if (strcmp(text, names[i]) == 0) return i;
  }
  return -1;
}

static bool all_positive(const number_list *list) {
  for (int i = 0; i < list->count; i++) {
    if (!(list->numbers[i] > 0)) return false;
  }
  return true;
}

/* Options of norma bn and norma optimize. */
static bool take_model_option(struct settings *settings, option_id id, const char *text, const char **expected) {
  int word;
  switch (id) {
  case OPTION_OUTPUT_FILE:
    settings->output_file = text;
    return true;
  case OPTION_VERIFY:
    return settings->verify = true;
  case OPTION_DATA:
    return append(&settings->data, &settings->data_count, text);
  case OPTION_METHOD:
    *expected = "population or ema";
    word = find_word(text, (const char *const[]){"population", "ema", NULL});
    settings->method = word == 1 ? METHOD_EMA : METHOD_POPULATION;
    return word >= 0;
  case OPTION_MOMENTUM:
    *expected = "a number from 0 to 1";
    return parse_real(text, &settings->momentum) && settings->momentum >= 0 && settings->momentum <= 1;
  case OPTION_EPOCHS:
    *expected = "a number of at least 1";
    return parse_int(text, 1, &settings->epochs);
  case OPTION_ORDER:
    *expected = "sequential or simultaneous";
    word = find_word(text, (const char *const[]){"sequential", "simultaneous", NULL});
    settings->order = word == 1 ? ORDER_SIMULTANEOUS : ORDER_SEQUENTIAL;
    return word >= 0;
  case OPTION_BATCH:
    *expected = "a number of at least 1";
    return parse_int(text, 1, &settings->batch);
  case OPTION_ONLY:
    *expected = "a glob over names of nodes";
    return append(&settings->only, &settings->only_count, text);
  case OPTION_VARIANCE:
    *expected = "population or sample";
    word = find_word(text, (const char *const[]){"population", "sample", NULL});
    settings->sample_variance = word == 1;
    return word >= 0;
  case OPTION_REPORT:
    settings->report = text;
    return true;
  case OPTION_MOMENTS:
    settings->moments = text;
    return true;
  case OPTION_FROM:
    return append(&settings->from, &settings->from_count, text);
  case OPTION_SKIP_BAD:
    return settings->skip_bad = true;
  case OPTION_MEAN:
    *expected = "numbers such as 0.485,0.456,0.406";
    return parse_numbers(text, &settings->mean);
  case OPTION_STD:
    *expected = "numbers above 0 such as 0.229,0.224,0.225";
    return parse_numbers(text, &settings->std) && all_positive(&settings->std);
  case OPTION_SCALE:
    *expected = "a number other than 0 such as 1/255";
    return parse_real(text, &settings->scale) && settings->scale != 0;
  case OPTION_LAYOUT:
    *expected = "nchw or nhwc";
    word = find_word(text, (const char *const[]){"nchw", "nhwc", NULL});
    settings->layout = word == 1 ? LAYOUT_NHWC : LAYOUT_NCHW;
    return word >= 0;
  default:
    return false;
  }
}

/* Takes one option; false if its argument is not what was expected, which is described by *expected. */
static bool take_option(struct settings *settings, option_id id, const char *text, const char **expected) {
  int64_t number;
  switch (id) {
  case OPTION_THREADS:
    *expected = "a number of threads";
    return parse_int(text, 1, &settings->threads);
  case OPTION_LEVEL:
    *expected = "0, 1 or 2";
    return parse_level(text, &settings->level);
  case OPTION_DISABLE:
    *expected = "names of passes";
    return parse_disabled(settings, text);
  case OPTION_EXACT:
    return settings->exact = true;
  case OPTION_MAX_MEMORY:
    *expected = "a size such as 2GiB";
    return parse_size(text, &settings->max_memory);
  case OPTION_TIMEOUT:
    *expected = "a time such as 5s";
    return parse_duration(text, &settings->timeout);
  case OPTION_QUIET:
    return settings->quiet = true;
  case OPTION_INPUT:
    *expected = "[NAME=]FILE";
    return append(&settings->inputs, &settings->input_count, text);
  case OPTION_FILL:
    *expected = "random, zeros or ones";
    return parse_fill(text, &settings->fill);
  case OPTION_SEED:
    *expected = "a whole number";
    if (!parse_integer(text, 0, INT64_MAX, &number)) return false;
    settings->seed = (uint64_t)number;
    return true;
  case OPTION_SHAPE: {
    int64_t dims[NORMA_MAX_RANK];
    const char *equals = strrchr(text, '=');
    *expected = "NAME=DIMS such as data=1x3x224x224";
    return equals && equals > text && parse_shape(equals + 1, dims) >= 0 &&
           append(&settings->shapes, &settings->shape_count, text);
  }
  case OPTION_OUTPUT_FOLDER:
    settings->output_folder = text;
    return true;
  case OPTION_DUMP:
    *expected = "a value's name";
    return append(&settings->dumps, &settings->dump_count, text);
  case OPTION_TOP:
    *expected = "a number of at least 1";
    return parse_int(text, 1, &settings->top);
  case OPTION_PROFILE:
    settings->profile = text;
    return true;
  case OPTION_JSON:
    return settings->json = true;
  case OPTION_DOT:
    settings->dot = text;
    return true;
  case OPTION_RTOL:
    *expected = "a number such as 1e-3";
    return parse_tolerance(text, &settings->rtol);
  case OPTION_ATOL:
    *expected = "a number such as 1e-7";
    return parse_tolerance(text, &settings->atol);
  case OPTION_MAX_ERROR:
    *expected = "a number such as 1e-4";
    return parse_tolerance(text, &settings->max_error);
  case OPTION_MANIFEST:
    settings->manifest = text;
    return true;
  case OPTION_FILTER:
    settings->filter = text;
    return true;
  case OPTION_JOBS:
    *expected = "a number of at least 1";
    return parse_int(text, 1, &settings->jobs);
  case OPTION_VERBOSE:
    return settings->verbose = true;
  case OPTION_WARMUP:
    *expected = "a number";
    return parse_int(text, 0, &settings->warmup);
  case OPTION_RUNS:
    *expected = "a number of at least 1";
    return parse_int(text, 1, &settings->runs);
  case OPTION_DURATION:
    *expected = "a time such as 2s";
    return parse_duration(text, &settings->duration);
  case OPTION_LEVELS:
    *expected = "two levels such as 0,2";
    return parse_levels(text, settings->levels);
  case OPTION_END:
  case OPTION_HELP:
  case OPTION_VERSION:
    return false;
  default:
    return take_model_option(settings, id, text, expected);
  }
}

enum { MAX_OPTIONS = 40 };

/* What getopt_long wants, from the tables. */
static void build_options(const manual_command *command, struct option *longs, char *shorts) {
  size_t count = 0;
  *shorts++ = ':'; /* a missing argument is told apart from an unknown option */
  const option_id *lists[] = {command->options, manual_common_options};
  for (int list = 0; list < 2; list++) {
    for (const option_id *id = lists[list]; *id != OPTION_END && count + 1 < MAX_OPTIONS; id++) {
      const manual_option *option = manual_option_of(*id);
      int has_argument = option->argument ? required_argument : no_argument;
      if (option->name) longs[count++] = (struct option){option->name, has_argument, NULL, (int)option->id};
      if (option->letter) {
        *shorts++ = option->letter;
        if (option->argument) *shorts++ = ':';
      }
    }
  }
  *shorts = '\0';
  longs[count] = (struct option){0};
}

static const manual_option *option_of_letter(const manual_command *command, int letter) {
  const option_id *lists[] = {command->options, manual_common_options};
  for (int list = 0; list < 2; list++) {
    for (const option_id *id = lists[list]; *id != OPTION_END; id++) {
      const manual_option *option = manual_option_of(*id);
      if (option->letter == letter) return option;
    }
  }
  return NULL;
}

static bool check_arguments(const struct settings *settings, const manual_command *command) {
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

bool settings_parse(struct settings *settings, const manual_command *command, int argc, char **argv, int *exit_code) {
  *settings = (struct settings){.level = -1,
                                .seed = 1,
                                .rtol = -1,
                                .atol = -1,
                                .max_error = -1,
                                .jobs = 1,
                                .warmup = -1,
                                .runs = -1,
                                .duration = -1,
                                .levels = {-1, -1},
                                .momentum = -1,
                                .epochs = 1};
  struct option longs[MAX_OPTIONS];
  char shorts[2 * MAX_OPTIONS + 2];
  build_options(command, longs, shorts);
  *exit_code = EXIT_REFUSED;
  opterr = 0;
  optind = 1;
  for (;;) {
    int at = optind;
    int code = getopt_long(argc, argv, shorts, longs, NULL);
    if (code == -1) break;
    if (code == '?' || code == ':') {
      /* optind has passed a long option but not yet a letter inside a group of letters */
      char letter[3] = {'-', (char)optopt, '\0'};
      const char *name = optopt > 0 && optopt < 256 ? letter : argv[optind > at ? optind - 1 : at];
      tool_error(code == ':' ? "%s: option '%s' needs an argument; norma %s --help says more"
                             : "%s: there is no option '%s'; norma %s --help says what there is",
                 command->name, name, command->name);
      return false;
    }
    const manual_option *option = code < 256 ? option_of_letter(command, code) : manual_option_of((option_id)code);
    if (option->id == OPTION_HELP || option->id == OPTION_VERSION) {
      if (option->id == OPTION_HELP) {
        manual_print_command(stdout, command);
      } else {
        manual_print_version(stdout);
      }
      *exit_code = EXIT_YES;
      return false;
    }
    const char *expected = NULL;
    if (!take_option(settings, option->id, optarg, &expected)) {
      char letter[2] = {option->letter, '\0'};
      tool_error("%s: %s%s %s: expected %s", command->name, option->name ? "--" : "-",
                 option->name ? option->name : letter, optarg ? optarg : "", expected ? expected : "something else");
      return false;
    }
  }
  settings->arguments = (const char *const *)argv + optind;
  settings->argument_count = (size_t)(argc - optind);
  return check_arguments(settings, command);
}

void settings_free(struct settings *settings) {
  free(settings->disabled_text);
  free(settings->disabled);
  free(settings->inputs);
  free(settings->shapes);
  free(settings->dumps);
  free(settings->data);
  free(settings->only);
  free(settings->from);
}

/* -------------------------------------------------------------------------------------------------- for the library */

static void print_log(void *context, norma_log_level level, const char *line) {
  const struct settings *settings = context;
  /* errors come back through norma_error too */
  if (level == NORMA_LOG_WARNING && !settings->quiet) tool_warning("%s", line);
}

norma_runtime_options settings_runtime(const struct settings *settings) {
  return (norma_runtime_options){.struct_size = sizeof(norma_runtime_options),
                                 .threads = settings->threads,
                                 .max_memory_bytes = settings->max_memory,
                                 .log = print_log,
                                 .log_context = (void *)settings};
}

norma_load_options settings_load(const struct settings *settings, norma_runtime *runtime, int level) {
  if (level < 0) level = settings->level;
  return (norma_load_options){.struct_size = sizeof(norma_load_options),
                              .runtime = runtime,
                              .optimization = level < 0 ? NORMA_OPTIMIZE_DEFAULT
                                                        : (norma_optimization)(NORMA_OPTIMIZE_NONE + level),
                              .disabled_passes = settings->disabled,
                              .disabled_pass_count = settings->disabled_count,
                              .exact = settings->exact};
}

norma_runtime *settings_create_runtime(const struct settings *settings) {
  norma_runtime_options options = settings_runtime(settings);
  norma_runtime *runtime = NULL;
  norma_error error;
  if (norma_runtime_create(&options, &runtime, &error) != NORMA_OK) {
    tool_library_error(NULL, &error);
    return NULL;
  }
  return runtime;
}
