/* C as text. */
#include "engine/compile/source_text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct sink {
  char text[4096];
  size_t length, room; /* room: what is taken before writing fails */
} sink;

static bool take(void *context, const void *bytes, size_t count) {
  sink *sink = context;
  if (count > sink->room - sink->length) return false;
  memcpy(sink->text + sink->length, bytes, count);
  sink->length += count;
  sink->text[sink->length] = '\0';
  return true;
}

static source_text open_sink(sink *sink, size_t room) {
  *sink = (struct sink){.room = room};
  return (source_text){.write = take, .context = sink};
}

static void strings_are_literals(void **state) {
  (void)state;
  sink sink;
  source_text text = open_sink(&sink, 4000);
  source_put_string(&text, "a\"b\\c\n?\xE4\0d", 10);
  assert_string_equal(sink.text, "\"a\\042b\\134c\\012\\077\\344\\000d\"");
}

static void words_are_little_endian_and_padded(void **state) {
  (void)state;
  sink sink;
  source_text text = open_sink(&sink, 4000);
  source_put_words(&text, "\x01\x02\x03\x04\xFF", 5);
  assert_string_equal(sink.text, "0x4030201,0xff,");
}

/* Every bit comes back from what is written. */
static void floats_keep_their_bits(void **state) {
  (void)state;
  static const float numbers[] = {0, -0.0f, 1.1f, -3e-45f, 3.4e38f, 1e-20f};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    sink sink;
    source_text text = open_sink(&sink, 4000);
    source_put_float(&text, numbers[i]);
    const float back = strtof(sink.text, NULL);
    assert_memory_equal(&back, &numbers[i], sizeof back);
    assert_int_equal(sink.text[sink.length - 1], 'f');
  }
  sink sink;
  source_text text = open_sink(&sink, 4000);
  source_put_float(&text, INFINITY);
  source_put_float(&text, -INFINITY);
  source_put_float(&text, NAN);
  assert_string_equal(sink.text, "INFINITY-INFINITYNAN");
}

static void shapes_are_initializers(void **state) {
  (void)state;
  sink sink;
  source_text text = open_sink(&sink, 4000);
  const struct shape shape = shape_make(2, (int64_t[]){3, 4});
  const value_info info = value_info_tensor(NORMA_FLOAT, &shape);
  source_put_info(&text, &info);
  assert_string_equal(sink.text, "{.kind = 1, .type = 1, .shape = {.rank = 2, .dims = {3, 4}}}");
  text = open_sink(&sink, 4000);
  norma_tensor scalar;
  norma_tensor_init(&scalar, NORMA_INT8, 0, NULL, NULL);
  source_put_tensor(&text, &scalar);
  assert_string_equal(sink.text, ".type = 3, .rank = 0, .dims = {0}, .size_bytes = 1");
  assert_string_equal(source_element_type(NORMA_FLOAT16), "uint16_t");
  assert_string_equal(source_element_type(NORMA_INT4), "uint8_t");
  assert_string_equal(source_element_type(NORMA_COMPLEX64), "float");
}

static void nothing_is_written_after_a_failure(void **state) {
  (void)state;
  sink sink;
  source_text text = open_sink(&sink, 3);
  source_put(&text, "abc");
  assert_false(text.failed);
  source_put(&text, "d");
  assert_true(text.failed);
  sink.room = 100;
  source_put(&text, "e");
  assert_string_equal(sink.text, "abc");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(strings_are_literals),
      cmocka_unit_test(words_are_little_endian_and_padded),
      cmocka_unit_test(floats_keep_their_bits),
      cmocka_unit_test(shapes_are_initializers),
      cmocka_unit_test(nothing_is_written_after_a_failure),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
