/* Options: single values, the parser over the tables, and the texts that come from the same tables. */
#include "tests/tools/unit/tool_test.h"

#include "tools/inputs.h"
#include "tools/manual.h"
#include "tools/report.h"

static void sizes(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t bytes;
  } good[] = {{"4096", 4096},        {"1B", 1},
              {"2KiB", 2048},        {"2K", 2048},
              {"2k", 2048},          {"3MiB", 3 << 20},
              {"2GiB", 2147483648u}, {"1.5GiB", 1610612736},
              {"2GB", 2000000000},   {"1TiB", 1099511627776},
              {"2 MiB", 2 << 20}};
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    size_t bytes = 0;
    assert_true(parse_size(good[i].text, &bytes));
    assert_int_equal(bytes, good[i].bytes);
  }
  static const char *const bad[] = {"",    "GiB", "-1",   "0",    "1Q",    "1GiBB", "1GiBx",
                                    "nan", "inf", "0x10", "1e30", "2GiB ", "+5"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    size_t bytes;
    if (parse_size(bad[i], &bytes)) fail_msg("'%s' was taken for a size", bad[i]);
  }
}

static void durations(void **state) {
  (void)state;
  static const struct {
    const char *text;
    double seconds;
  } good[] = {{"5s", 5}, {"100ms", 0.1}, {"1.5", 1.5}, {"2min", 120}, {"2m", 120}, {"1h", 3600}, {"250us", 250e-6}};
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    double seconds = 0;
    assert_true(parse_duration(good[i].text, &seconds));
    assert_true(seconds > good[i].seconds * (1 - 1e-12) && seconds < good[i].seconds * (1 + 1e-12));
  }
  static const char *const bad[] = {"", "s", "-1s", "0s", "5x", "5 s", "nan", "infs", "5s5"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    double seconds;
    if (parse_duration(bad[i], &seconds)) fail_msg("'%s' was taken for a time", bad[i]);
  }
}

static void shapes(void **state) {
  (void)state;
  int64_t dims[NORMA_MAX_RANK];
  assert_int_equal(parse_shape("1x3x224x224", dims), 4);
  assert_true(dims[0] == 1 && dims[1] == 3 && dims[2] == 224 && dims[3] == 224);
  assert_int_equal(parse_shape("0", dims), 1);
  assert_int_equal(dims[0], 0);
  assert_int_equal(parse_shape("2,5", dims), 2);
  assert_int_equal(parse_shape("scalar", dims), 0);
  assert_int_equal(parse_shape("1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1", dims), 16);
  static const char *const bad[] = {"",
                                    "x",
                                    "1x",
                                    "x1",
                                    "-1",
                                    "1x-2",
                                    "1xx2",
                                    "a",
                                    "1x2 ",
                                    "99999999999999999999",
                                    "1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    if (parse_shape(bad[i], dims) != -1) fail_msg("'%s' was taken for a shape", bad[i]);
  }
}

/* A command with options of every kind. */
struct test_settings {
  struct common_settings common;
  struct input_settings inputs;
  const char *text;
  text_list list;
  int count, place;
  bool flag, other_flag;
  double number, seconds;
  size_t size;
};

static bool take_place(void *place, const char *text, option_pool *pool) {
  (void)pool;
  return parse_integer(text, -5, 5, &(int64_t){0}) && (*(int *)place = atoi(text), true);
}

static int run_nothing(const void *settings) {
  (void)settings;
  return EXIT_YES;
}

static const tool_option own_options[] = {
    {"text", 'x', "TEXT", "a text", NULL, take_text},
    {"list", 0, "ONE", "one more", NULL, take_list},
    {"count", 0, "N", "how many", "a whole number that is at least 1", take_positive},
    {NULL, 'p', "N", "a place", "-5 to 5", take_place},
    {"flag", 'f', NULL, "yes", NULL, take_flag},
    {NULL, 'g', NULL, "yes", NULL, take_flag},
    {"number", 0, "X", "a number", "a number", take_tolerance},
    {"seconds", 0, "TIME", "a time", "a time", take_duration},
    {"size", 0, "SIZE", "a size", "a size", take_size},
};

static const command_option test_options[] = {
    INPUT_OPTIONS(struct test_settings),
    {&own_options[0], offsetof(struct test_settings, text)},
    {&own_options[1], offsetof(struct test_settings, list)},
    {&own_options[2], offsetof(struct test_settings, count)},
    {&own_options[3], offsetof(struct test_settings, place)},
    {&own_options[4], offsetof(struct test_settings, flag)},
    {&own_options[5], offsetof(struct test_settings, other_flag)},
    {&own_options[6], offsetof(struct test_settings, number)},
    {&own_options[7], offsetof(struct test_settings, seconds)},
    {&own_options[8], offsetof(struct test_settings, size)},
    {NULL, 0},
};

static const command test_command = {
    .name = "try",
    .synopsis = "A [B]",
    .summary = "a command",
    .text = "Does nothing.\n",
    .options = test_options,
    .min_arguments = 1,
    .max_arguments = 2,
    .argument = "A",
    .settings_size = sizeof(struct test_settings),
    .defaults = &(const struct test_settings){.inputs = INPUT_DEFAULTS, .number = -1, .place = 3},
    .run = run_nothing,
};

/* Parses a command line given as words; stderr into `errors`. The result is freed by settings_free. */
static struct common_settings *parse(const command *command, const char *line, int *code, char *errors, size_t size) {
  static char text[512];
  static char *words[64]; /* settings point into it */
  int count = 0;
  FILE *file;
  snprintf(text, sizeof text, "%s", line);
  for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) words[count++] = word;
  words[count] = NULL;
  int saved = tool_test_mute(&file);
  struct common_settings *settings = settings_parse(command, count, words, code);
  tool_test_unmute(saved, file, errors, size);
  return settings;
}

/* The same of the test's command, which must be good. */
static struct test_settings *parse_good(const char *line) {
  char errors[1024];
  int code;
  struct common_settings *settings = parse(&test_command, line, &code, errors, sizeof errors);
  if (!settings) fail_msg("'%s': %s", line, errors);
  assert_string_equal(errors, "");
  return (struct test_settings *)(void *)settings;
}

static void every_kind_of_option(void **state) {
  (void)state;
  struct test_settings *settings =
      parse_good("try m.onnx -i a=x.npy --input y.npy --fill zeros --seed 7 --shape a=1x2 -x out --list v --list=w "
                 "--count 3 -p-2 --number 0.5 --seconds 1min --size 2K -t 4 -O1 --disable p,q --disable r --exact "
                 "--max-memory 1MiB --timeout 2s --quiet");
  assert_int_equal(settings->common.argument_count, 1);
  assert_string_equal(settings->common.arguments[0], "m.onnx");
  assert_int_equal(settings->inputs.files.count, 2);
  assert_string_equal(settings->inputs.files.items[0], "a=x.npy");
  assert_string_equal(settings->inputs.files.items[1], "y.npy");
  assert_int_equal(settings->inputs.fill, FILL_ZEROS);
  assert_int_equal(settings->inputs.seed, 7);
  assert_int_equal(settings->inputs.shapes.count, 1);
  assert_string_equal(settings->inputs.shapes.items[0], "a=1x2");
  assert_string_equal(settings->text, "out");
  assert_int_equal(settings->list.count, 2);
  assert_string_equal(settings->list.items[1], "w");
  assert_int_equal(settings->count, 3);
  assert_int_equal(settings->place, -2);
  assert_true(settings->number == 0.5 && settings->seconds == 60);
  assert_int_equal(settings->size, 2048);
  assert_int_equal(settings->common.threads, 4);
  assert_int_equal(settings->common.level, 1);
  assert_int_equal(settings->common.disabled.count, 3);
  assert_string_equal(settings->common.disabled.items[0], "p");
  assert_string_equal(settings->common.disabled.items[2], "r");
  assert_true(settings->common.exact && settings->common.quiet);
  assert_int_equal(settings->common.max_memory, 1 << 20);
  assert_true(settings->common.timeout == 2);
  assert_false(settings->flag || settings->other_flag);
  norma_load_options load = settings_load(&settings->common, NULL, -1);
  assert_int_equal(load.optimization, NORMA_OPTIMIZE_BASIC);
  assert_int_equal(load.disabled_pass_count, 3);
  assert_int_equal(settings_load(&settings->common, NULL, 0).optimization, NORMA_OPTIMIZE_NONE);
  settings_free(&settings->common);
}

static void letters_stand_together(void **state) {
  (void)state;
  struct test_settings *settings = parse_good("try -fgx text a");
  assert_true(settings->flag && settings->other_flag);
  assert_string_equal(settings->text, "text");
  settings_free(&settings->common);
  settings = parse_good("try -gxf a");
  assert_true(settings->other_flag && !settings->flag);
  assert_string_equal(settings->text, "f");
  settings_free(&settings->common);
}

/* "-" is an argument, and all that follows "--" is. */
static void what_begins_with_a_hyphen_may_be_an_argument(void **state) {
  (void)state;
  struct test_settings *settings = parse_good("try - -f");
  assert_true(settings->flag);
  assert_int_equal(settings->common.argument_count, 1);
  assert_string_equal(settings->common.arguments[0], "-");
  settings_free(&settings->common);
  settings = parse_good("try -- -f --flag");
  assert_false(settings->flag);
  assert_int_equal(settings->common.argument_count, 2);
  assert_string_equal(settings->common.arguments[1], "--flag");
  settings_free(&settings->common);
}

/* The last of several is the one that counts. */
static void later_options_replace_earlier_ones(void **state) {
  (void)state;
  struct test_settings *settings = parse_good("try a --count 2 --count 5 --fill ones --fill zeros");
  assert_int_equal(settings->count, 5);
  assert_int_equal(settings->inputs.fill, FILL_ZEROS);
  settings_free(&settings->common);
}

static void defaults(void **state) {
  (void)state;
  struct test_settings *settings = parse_good("try a b");
  assert_int_equal(settings->common.argument_count, 2);
  assert_int_equal(settings->inputs.fill, FILL_NONE);
  assert_int_equal(settings->inputs.seed, 1);
  assert_true(settings->common.level == -1 && settings->number < 0 && settings->place == 3 && !settings->text);
  assert_int_equal(settings_load(&settings->common, NULL, -1).optimization, NORMA_OPTIMIZE_DEFAULT);
  settings_free(&settings->common);
  settings_free(NULL);
}

static void assert_refused(const command *command, const char *line, const char *word) {
  char errors[1024];
  int code = -1;
  assert_null(parse(command, line, &code, errors, sizeof errors));
  assert_int_equal(code, EXIT_REFUSED);
  assert_int_equal(strncmp(errors, "norma: ", 7), 0);
  assert_ptr_equal(strchr(errors, '\n'), errors + strlen(errors) - 1);
  if (!strstr(errors, word)) fail_msg("'%s': expected %s, got %s", line, word, errors);
}

static void mistakes_are_one_line_and_code_2(void **state) {
  (void)state;
  static const struct {
    const char *line, *word;
  } cases[] = {{"run", "MODEL"},
               {"run a b", "'b'"},
               {"run a --frob", "--frob"},
               {"run a --to", "there is no option '--to'"}, /* the beginning of two */
               {"run a --fil random", "there is no option '--fil'"},
               {"run a --fil=random", "there is no option '--fil=random'"},
               {"run a --quie", "there is no option '--quie'"},
               {"run a --hel", "there is no option '--hel'"},
               {"run a --quiet=yes", "--quiet=yes"},
               {"run a -Z", "-Z"},
               {"run a -i", "-i"},
               {"run a --seed", "--seed"},
               {"run a --seed x", "--seed x"},
               {"run a -O 3", "0, 1 or 2"},
               {"run a -t 0", "threads"},
               {"run a --top 0", "at least 1"},
               {"run a --shape 1x2", "NAME=DIMS"},
               {"run a --shape =1x2", "NAME=DIMS"},
               {"run a --json", "--json"}, /* an option of other commands */
               {"compare a --levels 0", "two levels"},
               {"compare a --levels 0,3", "two levels"},
               {"test d --rtol -1", "--rtol"},
               {"bench a --duration 0", "a time"},
               {"ops x", "'x'"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char name[32];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(cases[i].line, " "), cases[i].line);
    const command *command = command_find(name);
    assert_non_null(command);
    assert_refused(command, cases[i].line, cases[i].word);
  }
  assert_refused(&test_command, "try a -p 6", "-p 6: expected -5 to 5");
  assert_refused(&test_command, "try a -fZ", "'-Z'");
}

static void control_characters_do_not_reach_the_terminal(void **state) {
  (void)state;
  char errors[1024];
  FILE *file;
  int saved = tool_test_mute(&file);
  assert_int_equal(tool_error("node '%s'", "a\033[2J\nb\x7F"), EXIT_REFUSED);
  tool_test_unmute(saved, file, errors, sizeof errors);
  assert_string_equal(errors, "norma: node 'a\\x1B[2J\\x0Ab\\x7F'\n");
  char text[8];
  assert_string_equal(printable("ab\ncd", text, sizeof text), "ab\\x0Ac");
  assert_string_equal(printable("abc\n\n", text, sizeof text), "abc\\x0A");
}

static void assert_complete(const command_option *options, size_t settings_size) {
  for (const command_option *one = options; one && one->option; one++) {
    const tool_option *option = one->option;
    assert_true(option->name || option->letter);
    assert_true(option->text && option->text[0]);
    assert_true(option->take || one->place == 0);
    assert_true(one->place < settings_size);
    for (const command_option *other = one + 1; other->option; other++) {
      assert_true(!option->name || !other->option->name || strcmp(option->name, other->option->name) != 0);
      assert_true(!option->letter || option->letter != other->option->letter);
    }
  }
}

static void the_tables_are_complete(void **state) {
  (void)state;
  static const char *const known[] = {"bench",   "bn fold", "bn freeze", "bn list",  "bn reestimate", "check",
                                      "compare", "inspect", "ops",       "optimize", "run",           "test"};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    if (!command_find(known[i])) fail_msg("there is no command '%s'", known[i]);
  }
  for (size_t i = 0; i < command_table_count; i++) {
    const command *command = command_table[i];
    assert_true(command->name && command->synopsis && command->summary && command->text && command->run);
    assert_ptr_equal(command_find(command->name), command);
    assert_true(command->max_arguments < 0 || command->min_arguments <= command->max_arguments);
    assert_true(command->min_arguments == 0 || command->argument);
    assert_true(command->settings_size >= sizeof(struct common_settings));
    assert_complete(command->options, command->settings_size);
  }
  assert_complete(common_options, sizeof(struct common_settings));
  assert_null(command_find("frob"));
  assert_null(command_find("bn"));
  assert_string_equal(command_in_group(command_find("bn list"), "bn"), "list");
  assert_null(command_in_group(command_find("bench"), "b"));
}

/* What a function prints. */
static char *printed(void (*print)(FILE *file)) {
  char *text = NULL;
  size_t size = 0;
  FILE *file = open_memstream(&text, &size);
  print(file);
  fclose(file);
  return text;
}

static void assert_lines_fit(const char *text) {
  while (*text) {
    size_t length = strcspn(text, "\n");
    if (length > 79) fail_msg("a line of %zu columns: %.*s", length, (int)length, text);
    if (length > 0 && text[length - 1] == ' ') fail_msg("a line ends with a blank: %.*s", (int)length, text);
    text += length + (text[length] == '\n');
  }
}

static void help_and_man_page_name_every_command(void **state) {
  (void)state;
  char *overview = printed(manual_print_overview), *page = printed(manual_print_page);
  assert_lines_fit(overview);
  for (size_t i = 0; i < command_table_count; i++) {
    const command *command = command_table[i];
    char words[64], *help = NULL;
    size_t size = 0;
    snprintf(words, sizeof words, "norma %s", command->name);
    assert_non_null(strstr(overview, words));
    snprintf(words, sizeof words, ".SS norma %s ", command->name);
    assert_non_null(strstr(page, words));
    FILE *file = open_memstream(&help, &size);
    manual_print_command(file, command);
    fclose(file);
    assert_lines_fit(help);
    for (const command_option *one = command->options; one && one->option; one++) {
      if (one->option->name) {
        snprintf(words, sizeof words, "--%s", one->option->name);
      } else {
        snprintf(words, sizeof words, "-%c %s", one->option->letter, one->option->argument);
      }
      assert_non_null(strstr(help, words));
    }
    free(help);
  }
  free(overview);
  free(page);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sizes),
      cmocka_unit_test(durations),
      cmocka_unit_test(shapes),
      cmocka_unit_test(every_kind_of_option),
      cmocka_unit_test(letters_stand_together),
      cmocka_unit_test(what_begins_with_a_hyphen_may_be_an_argument),
      cmocka_unit_test(later_options_replace_earlier_ones),
      cmocka_unit_test(defaults),
      cmocka_unit_test(mistakes_are_one_line_and_code_2),
      cmocka_unit_test(control_characters_do_not_reach_the_terminal),
      cmocka_unit_test(the_tables_are_complete),
      cmocka_unit_test(help_and_man_page_name_every_command),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
