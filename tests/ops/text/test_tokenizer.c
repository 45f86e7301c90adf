/* Tokenizer of com.microsoft: separators, token expressions, marks. */
#include "tests/support/built_model.h"
#include "tests/support/workbench.h"

#include <stdlib.h>

#define TEXTS(...) ((const char *[]){__VA_ARGS__})

static driver_call make_call(const value *x, int64_t mark, int64_t least) {
  driver_call call = CALL("Tokenizer", 1, x);
  call.domain = "com.microsoft";
  call.attributes[0] = (attribute)DRIVER_INT("mark", mark);
  call.attributes[1] = (attribute)DRIVER_INT("mincharnum", least);
  call.attributes[2] = (attribute)DRIVER_STRING("pad_value", "#");
  return call;
}

static void separators_apply_one_after_the_other(void **state) {
  static const norma_string separators[] = {{",", 1}, {" +", 2}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  driver_call call = make_call(bench_strings(&bench, SHAPE(2), TEXTS("one,two  three", "x y,")), 0, 1);
  call.attributes[3] = (attribute)DRIVER_STRINGS("separators", 2, separators);
  check_strings(bench_run(&bench, &call), SHAPE(2, 3), TEXTS("one", "two", "three", "x", "y", "#"));
  call.attributes[1] = (attribute)DRIVER_INT("mincharnum", 2);
  call.attributes[0] = (attribute)DRIVER_INT("mark", 1);
  check_strings(bench_run(&bench, &call), SHAPE(2, 5),
                TEXTS("\x02", "one", "two", "three", "\x03", "\x02", "\x03", "#", "#", "#"));
  bench_finish(&bench);
}

static void expressions_of_tokens_and_characters(void **state) {
  static const norma_string characters[] = {{"", 0}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_strings(&bench, SHAPE(1, 2), TEXTS("a1-bc22", "\xc3\xa9z"));
  driver_call call = make_call(x, 0, 1);
  call.attributes[3] = (attribute)DRIVER_STRING("tokenexp", "[a-z]+");
  check_strings(bench_run(&bench, &call), SHAPE(1, 2, 2), TEXTS("a", "bc", "z", "#"));
  call.attributes[3] = (attribute)DRIVER_STRINGS("separators", 1, characters);
  check_strings(bench_run(&bench, &call), SHAPE(1, 2, 7),
                TEXTS("a", "1", "-", "b", "c", "2", "2", "\xc3\xa9", "z", "#", "#", "#", "#", "#"));
  bench_finish(&bench);
}

/* Matches that are too short for a token are looked for at each character anew: more than anybody waits for. */
static void a_long_string_keeps_to_the_deadline(void **state) {
  enum { LENGTH = 1000000 };
  char *text = malloc(LENGTH);
  norma_string string = {text, LENGTH};
  norma_tensor x;
  norma_session *session;
  norma_error error;
  (void)state;
  assert_non_null(text);
  memset(text, 'a', LENGTH);
  model_builder *builder = builder_create(21);
  builder_import(builder, "com.microsoft", 1);
  builder_input(builder, "x", NORMA_STRING, 1, (int64_t[]){-1});
  node *tokenizer = builder_named_node(builder, "", "com.microsoft", "Tokenizer", "x", "y");
  builder_int(tokenizer, "mark", 0);
  builder_int(tokenizer, "mincharnum", 2 * LENGTH);
  builder_string(tokenizer, "pad_value", "#");
  builder_string(tokenizer, "tokenexp", "a*");
  builder_output(builder, "y", NORMA_STRING, -1, NULL);
  norma_model *model = load_built(builder, NORMA_OPTIMIZE_FULL, NULL);
  assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
  assert_int_equal(norma_tensor_init(&x, NORMA_STRING, 1, (int64_t[]){1}, &string), NORMA_OK);
  assert_int_equal(norma_session_set_input(session, "x", &x, &error), NORMA_OK);
  norma_session_set_timeout(session, 0.05);
  assert_int_equal(norma_session_run(session, &error), NORMA_ERROR_DEADLINE);
  norma_session_destroy(session);
  norma_model_destroy(model);
  free(text);
}

static void refusals(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_strings(&bench, SHAPE(2), TEXTS("a", "\xff"));
  driver_call call = make_call(x, 0, 1);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "neither separators nor tokenexp");
  call.attributes[3] = (attribute)DRIVER_STRING("tokenexp", "a");
  bench_refuse(&bench, &call, NORMA_ERROR_RUN, "string 1 is not UTF-8");
  call.attributes[3] = (attribute)DRIVER_STRING("tokenexp", "(");
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "");
  call.attributes[3] = (attribute)DRIVER_STRING("tokenexp", "a");
  call.attributes[1] = (attribute)DRIVER_INT("mincharnum", 0);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "mincharnum is 0");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(separators_apply_one_after_the_other),
      cmocka_unit_test(expressions_of_tokens_and_characters),
      cmocka_unit_test(a_long_string_keeps_to_the_deadline),
      cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
