/* Options: single values, the parser over the tables, and the texts that come from the same tables. */
#include "tests/tools/unit/tool_test.h"

#include "tools/options.h"
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

/* Parses a command line given as words; stderr into `errors`. */
static bool parse(struct settings *settings, const char *line, int *code, char *errors, size_t size) {
  static char text[512];
  static char *words[64]; /* settings point into it */
  int count = 0;
  FILE *file;
  snprintf(text, sizeof text, "%s", line);
  for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) words[count++] = word;
  words[count] = NULL;
  const manual_command *command = manual_find(words[0]);
  assert_non_null(command);
  int saved = tool_test_mute(&file);
  bool good = settings_parse(settings, command, count, words, code);
  tool_test_unmute(saved, file, errors, size);
  return good;
}

static void every_option_of_run(void **state) {
  (void)state;
  struct settings settings;
  char errors[1024];
  int code;
  assert_true(parse(
      &settings,
      "run m.onnx -i a=x.npy --input y.npy --fill zeros --seed 7 --shape a=1x2 -o out --dump v --dump all "
      "--top 3 --profile p.json -t 4 -O1 --disable p,q --disable r --exact --max-memory 1MiB --timeout 2s --quiet",
      &code, errors, sizeof errors));
  assert_string_equal(errors, "");
  assert_int_equal(settings.argument_count, 1);
  assert_string_equal(settings.arguments[0], "m.onnx");
  assert_int_equal(settings.input_count, 2);
  assert_string_equal(settings.inputs[0], "a=x.npy");
  assert_string_equal(settings.inputs[1], "y.npy");
  assert_int_equal(settings.fill, FILL_ZEROS);
  assert_int_equal(settings.seed, 7);
  assert_string_equal(settings.shapes[0], "a=1x2");
  assert_string_equal(settings.output_folder, "out");
  assert_int_equal(settings.dump_count, 2);
  assert_int_equal(settings.top, 3);
  assert_string_equal(settings.profile, "p.json");
  assert_int_equal(settings.threads, 4);
  assert_int_equal(settings.level, 1);
  assert_int_equal(settings.disabled_count, 3);
  assert_string_equal(settings.disabled[0], "p");
  assert_string_equal(settings.disabled[2], "r");
  assert_true(settings.exact && settings.quiet);
  assert_int_equal(settings.max_memory, 1 << 20);
  assert_true(settings.timeout == 2);
  norma_load_options load = settings_load(&settings, NULL, -1);
  assert_int_equal(load.optimization, NORMA_OPTIMIZE_BASIC);
  assert_int_equal(settings_load(&settings, NULL, 0).optimization, NORMA_OPTIMIZE_NONE);
  settings_free(&settings);
}

static void defaults(void **state) {
  (void)state;
  struct settings settings;
  char errors[1024];
  int code;
  assert_true(parse(&settings, "compare a b", &code, errors, sizeof errors));
  assert_int_equal(settings.argument_count, 2);
  assert_int_equal(settings.fill, FILL_NONE);
  assert_true(settings.level == -1 && settings.levels[0] == -1 && settings.rtol < 0 && settings.max_error < 0);
  assert_int_equal(settings_load(&settings, NULL, -1).optimization, NORMA_OPTIMIZE_DEFAULT);
  settings_free(&settings);
  assert_true(parse(&settings, "compare a --levels 0,2", &code, errors, sizeof errors));
  assert_true(settings.levels[0] == 0 && settings.levels[1] == 2);
  settings_free(&settings);
}

static void mistakes_are_one_line_and_code_2(void **state) {
  (void)state;
  static const struct {
    const char *line, *word;
  } cases[] = {{"run", "MODEL"},
               {"run a b", "'b'"},
               {"run a --frob", "--frob"},
               {"run a --to", "--to"}, /* an abbreviation of two options */
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
    struct settings settings;
    char errors[1024];
    int code = -1;
    assert_false(parse(&settings, cases[i].line, &code, errors, sizeof errors));
    settings_free(&settings);
    assert_int_equal(code, EXIT_REFUSED);
    assert_int_equal(strncmp(errors, "norma: ", 7), 0);
    assert_ptr_equal(strchr(errors, '\n'), errors + strlen(errors) - 1);
    if (!strstr(errors, cases[i].word)) fail_msg("'%s': expected %s, got %s", cases[i].line, cases[i].word, errors);
  }
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

static void the_tables_are_complete(void **state) {
  (void)state;
  for (const manual_command *command = manual_commands; command->name; command++) {
    for (const option_id *id = command->options; *id != OPTION_END; id++) {
      const manual_option *option = manual_option_of(*id);
      assert_non_null(option);
      assert_true(option->name || option->letter);
      for (const option_id *other = id + 1; *other != OPTION_END; other++) assert_int_not_equal(*id, *other);
    }
  }
  for (const option_id *id = manual_common_options; *id != OPTION_END; id++) assert_non_null(manual_option_of(*id));
  assert_null(manual_find("frob"));
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
  for (const manual_command *command = manual_commands; command->name; command++) {
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
    for (const option_id *id = command->options; *id != OPTION_END; id++) {
      const manual_option *option = manual_option_of(*id);
      if (option->name)
        snprintf(words, sizeof words, "--%s", option->name);
      else
        snprintf(words, sizeof words, "-%c %s", option->letter, option->argument);
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
      cmocka_unit_test(every_option_of_run),
      cmocka_unit_test(defaults),
      cmocka_unit_test(mistakes_are_one_line_and_code_2),
      cmocka_unit_test(control_characters_do_not_reach_the_terminal),
      cmocka_unit_test(the_tables_are_complete),
      cmocka_unit_test(help_and_man_page_name_every_command),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
