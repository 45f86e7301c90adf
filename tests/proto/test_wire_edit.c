/* Messages taken apart into fields, and put together from pieces. */
#include "proto/wire_edit.h"

#include "proto/value_reader.h"
#include "tests/support/built_reading.h"
#include "tests/support/failing_allocations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static wire_span span(const char *bytes, size_t size) {
  return (wire_span){(const unsigned char *)bytes, size};
}

/* A literal without its final zero. */
#define SPAN(text) span(text, sizeof text - 1)

/* ------------------------------------------------------------------------------------------------------------ parts */

/* One field of each wire type, in order, and then the end. */
static void fields_follow_each_other(void **state) {
  (void)state;
  wire_span rest = SPAN("\x08\x96\x01"                         /* 1: 150 */
                        "\x11\x01\x02\x03\x04\x05\x06\x07\x08" /* 2: 64 bits */
                        "\x1A\x03"
                        "abc"                  /* 3: three bytes */
                        "\x25\x01\x02\x03\x04" /* 4: 32 bits */
                        "\x2A\x00"             /* 5: none */
                        "\xA0\x1F\x00");       /* 500: 0 */
  static const struct {
    uint32_t number;
    size_t whole, contents;
    bool is_length;
    uint64_t value;
  } expected[] = {{1, 3, 2, false, 150}, {2, 9, 8, false, 0}, {3, 5, 3, true, 0},
                  {4, 5, 4, false, 0},   {5, 2, 0, true, 0},  {500, 3, 1, false, 0}};
  const unsigned char *at = rest.bytes;
  wire_part part;
  for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
    assert_true(wire_next(&rest, &part));
    assert_int_equal(part.number, expected[i].number);
    assert_ptr_equal(part.whole.bytes, at);
    assert_int_equal(part.whole.size, expected[i].whole);
    assert_ptr_equal(part.contents.bytes, at + expected[i].whole - expected[i].contents);
    assert_int_equal(part.contents.size, expected[i].contents);
    assert_int_equal(part.is_length, expected[i].is_length);
    assert_true(part.value == expected[i].value);
    at += expected[i].whole;
  }
  assert_int_equal(rest.size, 0);
  assert_false(wire_next(&rest, &part));
  rest = (wire_span){0};
  assert_false(wire_next(&rest, &part));
}

/* Bytes that end within a field, or are none. */
static void broken_fields_end_the_walk(void **state) {
  static const struct {
    const char *bytes;
    size_t size;
  } cases[] = {{"\x08", 1},
               {"\x08\x96", 2},
               {"\x11\x01\x02", 3},
               {"\x25\x01\x02\x03", 4},
               {"\x1A", 1},
               {"\x1A\x03\x01", 3},
               {"\x1A\xFF\xFF\xFF\xFF\x0F", 6},
               {"\x80", 1},
               {"\x0B", 1},
               {"\x0C", 1},
               {"\x0E\x01", 2},
               {"\x0F\x01", 2},
               {"\x1A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 11}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    wire_part part;
    char *exact = malloc(cases[i].size); /* so that a sanitizer sees every access beyond */
    memcpy(exact, cases[i].bytes, cases[i].size);
    wire_span rest = span(exact, cases[i].size);
    assert_false(wire_next(&rest, &part));
    free(exact);
  }
}

static void fields_are_found(void **state) {
  (void)state;
  const wire_span message = SPAN("\x0A\x01"
                                 "a"
                                 "\x12\x01"
                                 "x"
                                 "\x0A\x01"
                                 "b"
                                 "\x18\x07"
                                 "\x18\x08"
                                 "\x22\x00");
  wire_span found;
  assert_true(span_equals(wire_find(message, 1), "a"));
  assert_true(span_equals(wire_find(message, 2), "x"));
  assert_int_equal(wire_find(message, 9).size, 0);
  assert_null(wire_find(message, 9).bytes);
  assert_non_null(wire_find(message, 4).bytes); /* there, and empty */
  assert_true(wire_find_nth(message, 1, 1, &found) && span_equals(found, "b"));
  assert_false(wire_find_nth(message, 1, 2, &found));
  assert_null(found.bytes);
  assert_int_equal(wire_find_int(message, 3, -1), 7); /* the first */
  assert_int_equal(wire_find_int(message, 8, -1), -1);
  assert_int_equal(wire_find_int(message, 1, -1), -1); /* no number */
  assert_int_equal(wire_find_int(SPAN("\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"), 1, 5), -1);
}

static void spans_are_compared_with_texts(void **state) {
  (void)state;
  assert_true(span_equals(SPAN("abc"), "abc"));
  assert_false(span_equals(SPAN("abc"), "abcd"));
  assert_false(span_equals(SPAN("abc"), "ab"));
  assert_false(span_equals(SPAN("a\0c"), "a"));
  assert_true(span_equals((wire_span){0}, ""));
  assert_true(span_equals(span_of_text("word"), "word"));
  assert_non_null(span_of_text("").bytes);
  assert_non_null(span_of_bytes(NULL, 0).bytes);
  assert_int_equal(span_of_bytes("abc", 2).size, 2);
}

/* ----------------------------------------------------------------------------------------------------------- builds */

typedef struct workshop {
  memory memory;
  region region;
  wire_build build;
} workshop;

static void workshop_open(workshop *shop) {
  memory_init(&shop->memory, NULL, 0);
  region_init(&shop->region, &shop->memory);
  build_init(&shop->build, &shop->region);
}

static void workshop_close(workshop *shop) {
  build_free(&shop->build);
  region_free(&shop->region);
  assert_int_equal(atomic_load(&shop->memory.used), 0);
}

static void expect_built(const workshop *shop, const char *bytes, size_t size) {
  const wire_span built = build_flatten(&shop->build);
  assert_non_null(built.bytes);
  assert_int_equal(built.size, size);
  assert_int_equal(shop->build.size, size);
  if (size) assert_memory_equal(built.bytes, bytes, size);
}

static void numbers_of_every_width(void **state) {
  (void)state;
  workshop shop;
  workshop_open(&shop);
  expect_built(&shop, "", 0);
  static const uint64_t numbers[] = {0, 1, 127, 128, 16383, 16384, UINT32_MAX, (uint64_t)INT64_MAX, UINT64_MAX};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    build_int(&shop.build, (uint32_t)(i == 5 ? 100000 : i + 1), numbers[i]);
    build_varint(&shop.build, (uint64_t)(i + 1) << 3); /* the tag of one more, whose number follows */
    build_varint(&shop.build, numbers[i]);
  }
  wire_span rest = build_flatten(&shop.build);
  wire_part part;
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    for (int k = 0; k < 2; k++) {
      assert_true(wire_next(&rest, &part));
      assert_int_equal(part.number, k == 0 && i == 5 ? 100000 : i + 1);
      assert_true(part.value == numbers[i] && !part.is_length);
    }
  }
  assert_int_equal(rest.size, 0);
  workshop_close(&shop);
}

/* Pieces are borrowed, those of build_copy are not; neighbours become one. */
static void pieces_are_borrowed_or_copied(void **state) {
  (void)state;
  workshop shop;
  char source[] = "abcdef", changing[] = "xyz";
  workshop_open(&shop);
  build_add(&shop.build, span(source, 2));
  build_add(&shop.build, span(source + 2, 3));
  assert_int_equal(shop.build.count, 1);
  build_add(&shop.build, span(source, 1));
  build_add(&shop.build, (wire_span){0});
  assert_int_equal(shop.build.count, 2);
  build_copy(&shop.build, changing, 3);
  build_copy(&shop.build, NULL, 0);
  memcpy(changing, "...", 3);
  source[0] = 'A';
  expect_built(&shop, "AbcdeAxyz", 9);
  workshop_close(&shop);
}

static void messages_within_messages(void **state) {
  (void)state;
  workshop shop;
  wire_build inner, empty;
  workshop_open(&shop);
  build_init(&inner, &shop.region);
  build_init(&empty, &shop.region);
  build_text(&inner, 1, "ab");
  build_int(&inner, 2, 300);
  build_message(&shop.build, 3, &inner);
  build_message(&shop.build, 4, &empty);
  build_length_prefixed(&shop.build, 5, SPAN("cd"));
  build_text(&shop.build, 6, "");
  expect_built(&shop,
               "\x1A\x07\x0A\x02"
               "ab\x10\xAC\x02\x22\x00\x2A\x02"
               "cd\x32\x00",
               17);
  build_free(&inner);
  build_free(&empty);
  workshop_close(&shop);
}

static void many_pieces(void **state) {
  enum { MANY = 5000 };
  (void)state;
  workshop shop;
  char source[2 * MANY];
  workshop_open(&shop);
  for (int i = 0; i < 2 * MANY; i++) source[i] = (char)(i % 251);
  for (int i = 0; i < MANY; i++) build_add(&shop.build, span(source + 2 * i, 1));
  assert_int_equal(shop.build.count, MANY);
  const wire_span built = build_flatten(&shop.build);
  for (int i = 0; i < MANY; i++) assert_int_equal((char)built.bytes[i], source[2 * i]);
  workshop_close(&shop);
}

/* ---------------------------------------------------------------------------------------------------------- failing */

static bool take_some(void *context, const void *bytes, size_t count) {
  size_t *left = context;
  (void)bytes;
  if (count > *left) return false;
  *left -= count;
  return true;
}

static void writing_may_fail(void **state) {
  (void)state;
  workshop shop;
  norma_error error;
  workshop_open(&shop);
  build_text(&shop.build, 1, "some text");
  build_int(&shop.build, 2, 3);
  for (size_t room = 0; room <= shop.build.size; room++) {
    size_t left = room;
    norma_status status = build_write(&shop.build, take_some, &left, &error);
    assert_int_equal(status, room < shop.build.size ? NORMA_ERROR_FILE : NORMA_OK);
  }
  workshop_close(&shop);
}

/* A build that failed says so at the end, and so does one that takes it in, or what it made. */
static void failed_builds_are_found_at_the_end(void **state) {
  (void)state;
  for (int kind = 0; kind < 3; kind++) {
    workshop shop;
    size_t left = 1000;
    wire_build inner;
    workshop_open(&shop);
    build_init(&inner, &shop.region);
    inner.failed = true;
    assert_null(build_flatten(&inner).bytes);
    if (kind == 0) build_message(&shop.build, 1, &inner);
    if (kind == 1) build_length_prefixed(&shop.build, 1, build_flatten(&inner));
    build_text(&shop.build, 2, "text");
    assert_int_equal(build_flatten(&shop.build).bytes == NULL, kind < 2);
    norma_status status = build_write(&shop.build, take_some, &left, NULL);
    assert_int_equal(status, kind < 2 ? NORMA_ERROR_OUT_OF_MEMORY : NORMA_OK);
    workshop_close(&shop);
  }
}

static norma_status build_in(void *context, const norma_allocator *allocator, norma_error *error) {
  memory memory;
  region region;
  wire_build build, inner;
  size_t left = 1 << 20;
  static const char source[4000];
  (void)context;
  memory_init(&memory, allocator, 0);
  region_init(&region, &memory);
  build_init(&build, &region);
  build_init(&inner, &region);
  for (int i = 0; i < 40; i++) build_add(&inner, span(source + 50 * i, 20));
  for (int i = 0; i < 300; i++) build_text(&inner, 1, "a text that takes some room in the region");
  build_message(&build, 2, &inner);
  build_length_prefixed(&build, 3, build_flatten(&inner));
  norma_status status = build_write(&build, take_some, &left, error);
  build_free(&build);
  build_free(&inner);
  region_free(&region);
  assert_int_equal(atomic_load(&memory.used), 0);
  return status;
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  assert_int_equal(fail_each_allocation(build_in, NULL), 0);
}

/* ----------------------------------------------------------------------------------------------------- new messages */

/* Elements of every type but texts, a scalar, and none at all. */
static void tensors_read_as_they_were(void **state) {
  static const unsigned char bytes[256] = {1, 0, 1, 1, 0, 1, 1};
  (void)state;
  for (int type = 1; type < 40; type++) {
    if (!element_type_exists((norma_element_type)type) || type == NORMA_STRING) continue;
    for (int form = 0; form < 3; form++) {
      static const int64_t dims[3][2] = {{2, 4}, {0}, {3, 0}};
      norma_tensor tensor;
      workshop shop;
      value read = {0};
      norma_error error;
      workshop_open(&shop);
      assert_int_equal(norma_tensor_init(&tensor, (norma_element_type)type, form == 1 ? 0 : 2, dims[form],
                                         form == 2 ? NULL : (void *)(uintptr_t)bytes),
                       NORMA_OK);
      const wire_span made = make_tensor_message(&shop.region, "name", &tensor);
      assert_non_null(made.bytes);
      assert_true(span_equals(wire_find(made, 8), "name"));
      norma_status status = value_read_memory(&shop.memory, made.bytes, made.size, NORMA_VALUE_TENSOR, &read, &error);
      if (status != NORMA_OK) fail_msg("type %d: %s", type, error.message);
      assert_int_equal(read.tensor.type, type);
      assert_int_equal(read.tensor.rank, tensor.rank);
      assert_memory_equal(read.tensor.dims, tensor.dims, (size_t)tensor.rank * sizeof(int64_t));
      assert_int_equal(read.tensor.size_bytes, tensor.size_bytes);
      if (tensor.size_bytes) assert_memory_equal(read.tensor.data, bytes, tensor.size_bytes);
      value_clear(&read);
      workshop_close(&shop);
    }
  }
}

/* As an input of a graph. */
static void descriptions_read_as_they_were(void **state) {
  (void)state;
  workshop shop;
  norma_tensor tensor;
  wire_build graph, opset;
  workshop_open(&shop);
  build_init(&graph, &shop.region);
  build_init(&opset, &shop.region);
  norma_tensor_init(&tensor, NORMA_DOUBLE, 2, (int64_t[]){3, 500}, NULL);
  build_length_prefixed(&graph, 11, make_value_info_message(&shop.region, "x", &tensor));
  norma_tensor_init(&tensor, NORMA_BOOL, 0, NULL, NULL);
  build_length_prefixed(&graph, 11, make_value_info_message(&shop.region, "scalar", &tensor));
  build_int(&opset, 2, 17);
  build_int(&shop.build, 1, 8);
  build_message(&shop.build, 7, &graph);
  build_message(&shop.build, 8, &opset);
  const wire_span model = build_flatten(&shop.build);
  model_reading reading;
  reading_init(&reading, 0);
  if (reading_read(&reading, model.bytes, model.size) != NORMA_OK) fail_msg("%s", reading.error.message);
  const graph_value *x = reading.model.graph->inputs[0], *scalar = reading.model.graph->inputs[1];
  assert_string_equal(x->name, "x");
  assert_int_equal(x->info.type, NORMA_DOUBLE);
  assert_int_equal(x->info.shape.rank, 2);
  assert_int_equal(x->info.shape.dims[1], 500);
  assert_int_equal(scalar->info.type, NORMA_BOOL);
  assert_int_equal(scalar->info.shape.rank, 0);
  assert_int_equal(reading_release(&reading), 0);
  build_free(&graph);
  build_free(&opset);
  workshop_close(&shop);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(fields_follow_each_other),
      cmocka_unit_test(broken_fields_end_the_walk),
      cmocka_unit_test(fields_are_found),
      cmocka_unit_test(spans_are_compared_with_texts),
      cmocka_unit_test(numbers_of_every_width),
      cmocka_unit_test(pieces_are_borrowed_or_copied),
      cmocka_unit_test(messages_within_messages),
      cmocka_unit_test(many_pieces),
      cmocka_unit_test(writing_may_fail),
      cmocka_unit_test(failed_builds_are_found_at_the_end),
      cmocka_unit_test(allocations_that_fail_are_reported),
      cmocka_unit_test(tensors_read_as_they_were),
      cmocka_unit_test(descriptions_read_as_they_were),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
