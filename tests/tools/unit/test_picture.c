/* Pictures: formats, grey and colour, layouts, types, resizing, and files that are damaged. */
#include "tests/tools/unit/tool_runtime.h"
#include "tests/tools/unit/tool_test.h"

#include "tools/formats/input_file.h"
#include "tools/formats/npy.h"
#include "tools/formats/picture.h"

#include <math.h>

/* 2 wide, 2 high: red, green, blue, white. */
static const char colours[] = "P6\n# a comment\n2 2\n255\n\xFF\0\0\0\xFF\0\0\0\xFF\xFF\xFF\xFF";

static norma_value_info wanted_of(norma_element_type type, int rank, const int64_t *dims) {
  norma_value_info wanted = {.kind = NORMA_VALUE_TENSOR, .type = type, .rank = rank};
  memcpy(wanted.dims, dims, (size_t)rank * sizeof *dims);
  return wanted;
}

static norma_value *tensor_of(const char *bytes, size_t size, norma_element_type type, int rank, const int64_t *dims) {
  struct picture picture;
  norma_value *result = NULL;
  norma_error error;
  const norma_value_info wanted = wanted_of(type, rank, dims);
  assert_true(picture_recognise(bytes, size));
  if (picture_decode(runtime, bytes, size, &picture, &error) != NORMA_OK) fail_msg("%s", error.message);
  if (picture_to_tensor(&picture, runtime, &wanted, &result, &error) != NORMA_OK) fail_msg("%s", error.message);
  picture_free(&picture);
  return result;
}

static void assert_floats(norma_value *contents, const float *expected, int count) {
  assert_int_equal(norma_tensor_count(norma_value_tensor(contents)), count);
  for (int i = 0; i < count; i++) {
    float got = ((const float *)norma_value_tensor(contents)->data)[i];
    if (fabsf(got - expected[i]) > 1e-6f)
      fail_msg("element %d: expected %g, got %g", i, (double)expected[i], (double)got);
  }
  norma_value_destroy(contents);
}

static void colour_planes_come_first(void **state) {
  (void)state;
  static const float planes[] = {1, 0, 0, 1, 0, 1, 0, 1, 0, 0, 1, 1};
  norma_value *contents = tensor_of(colours, sizeof colours - 1, NORMA_FLOAT, 4, (const int64_t[]){1, 3, 2, 2});
  assert_floats(contents, planes, 12);
  contents = tensor_of(colours, sizeof colours - 1, NORMA_FLOAT, 4, (const int64_t[]){-1, 3, -1, -1});
  assert_int_equal(norma_value_tensor(contents)->dims[0], 1);
  assert_floats(contents, planes, 12);
}

static void channels_come_last_where_the_input_says_so(void **state) {
  (void)state;
  norma_value *contents = tensor_of(colours, sizeof colours - 1, NORMA_UINT8, 4, (const int64_t[]){1, 2, 2, 3});
  assert_memory_equal(norma_value_tensor(contents)->data, colours + 23, 12);
  norma_value_destroy(contents);
}

static void colour_becomes_grey(void **state) {
  (void)state;
  /* Pillow's weights: 299, 587 and 114 of 1000 */
  static const uint8_t grey[] = {76, 150, 29, 255};
  norma_value *contents = tensor_of(colours, sizeof colours - 1, NORMA_UINT8, 4, (const int64_t[]){1, 1, 2, 2});
  assert_memory_equal(norma_value_tensor(contents)->data, grey, 4);
  norma_value_destroy(contents);
  for (int level = 0; level < 256; level++) { /* and grey in three channels keeps its value */
    char bytes[32];
    int size = snprintf(bytes, sizeof bytes, "P3 1 1 255 %d %d %d", level, level, level);
    contents = tensor_of(bytes, (size_t)size, NORMA_UINT8, 2, (const int64_t[]){1, 1});
    assert_int_equal(((const uint8_t *)norma_value_tensor(contents)->data)[0], level);
    norma_value_destroy(contents);
  }
}

static void grey_pictures_of_any_depth(void **state) {
  (void)state;
  static const float expected[] = {0, 1, 102 / 255.0f};
  static const char plain[] = "P2 3 1 5 0 5 2", wide[] = "P5 3 1 65535\n\0\0\xFF\xFF\x66\x66";
  norma_value *contents = tensor_of(plain, sizeof plain - 1, NORMA_FLOAT, 4, (const int64_t[]){1, 1, 1, 3});
  assert_floats(contents, expected, 3);
  contents = tensor_of(wide, sizeof wide - 1, NORMA_FLOAT, 3, (const int64_t[]){1, 1, 3});
  assert_floats(contents, expected, 3);
}

static void sizes_that_differ_are_met(void **state) {
  (void)state;
  static const char two[] = "P2 2 1 255 0 255", four[] = "P2 4 1 255 0 0 255 255",
                    even[] = "P2 3 3 255 7 7 7 7 7 7 7 7 7";
  /* enlarging is linear between the centres of pixels, and flat beyond them */
  static const float larger[] = {0, 0.25f, 0.75f, 1};
  norma_value *contents = tensor_of(two, sizeof two - 1, NORMA_FLOAT, 2, (const int64_t[]){1, 4});
  assert_floats(contents, larger, 4);
  /* shrinking merges what lies under a pixel: a triangle twice as wide as a new pixel */
  static const float smaller[] = {1 / 7.0f, 6 / 7.0f};
  contents = tensor_of(four, sizeof four - 1, NORMA_FLOAT, 2, (const int64_t[]){1, 2});
  assert_floats(contents, smaller, 2);
  contents = tensor_of(even, sizeof even - 1, NORMA_UINT8, 2, (const int64_t[]){5, 2});
  for (int i = 0; i < 10; i++) assert_int_equal(((const uint8_t *)norma_value_tensor(contents)->data)[i], 7);
  norma_value_destroy(contents);
}

static void inputs_that_no_picture_fits(void **state) {
  (void)state;
  static const struct {
    norma_element_type type;
    int rank;
    int64_t dims[5];
  } cases[] = {{NORMA_FLOAT, 4, {1, 5, 8, 8}}, {NORMA_FLOAT, 4, {2, 3, 8, 8}}, {NORMA_FLOAT, 5, {1, 1, 3, 8, 8}},
               {NORMA_FLOAT, 1, {8}},          {NORMA_INT64, 4, {1, 3, 8, 8}}, {NORMA_STRING, 4, {1, 3, 8, 8}},
               {NORMA_FLOAT, 4, {1, 3, 0, 8}}};
  struct picture picture;
  norma_error error;
  assert_int_equal(picture_decode(runtime, colours, sizeof colours - 1, &picture, &error), NORMA_OK);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    norma_value *contents = NULL;
    const norma_value_info wanted = wanted_of(cases[i].type, cases[i].rank, cases[i].dims);
    assert_int_equal(picture_to_tensor(&picture, runtime, &wanted, &contents, &error), NORMA_ERROR_INPUT);
  }
  picture_free(&picture);
}

static void damage_is_refused(void **state) {
  (void)state;
  static const char *const bad[] = {"P2 0 1 255 ",         "P2 2 1 0 0 0",         "P2 2 1 70000 0 0",
                                    "P2 2 1 255 0",        "P2 2 1 255 0 256",     "P5 2 2 255\nabc",
                                    "P6 99999999 9 255\n", "P5 60000 60000 255\n", "P5 "};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    struct picture picture;
    norma_error error;
    assert_int_equal(picture_decode(runtime, bad[i], strlen(bad[i]), &picture, &error), NORMA_ERROR_FORMAT);
  }
  assert_false(picture_recognise("hello", 5));
  assert_false(picture_recognise("", 0));
  struct picture picture;
  norma_error error;
  assert_int_equal(picture_decode(runtime, "GIF89a", 6, &picture, &error), NORMA_ERROR_UNSUPPORTED);
}

static void a_png_of_the_project(void **state) {
  (void)state;
#ifdef NORMA_HAVE_PNG
  file_contents png, npy;
  norma_value *expected = NULL;
  norma_error error;
  assert_int_equal(file_read(runtime, "models/pictures/digit_7.png", &png, &error), NORMA_OK);
  assert_int_equal(file_read(runtime, "models/pictures/digit_7.npy", &npy, &error), NORMA_OK);
  assert_int_equal(npy_decode(runtime, npy.bytes, npy.size, &expected, &error), NORMA_OK);
  norma_value *contents = tensor_of(png.bytes, png.size, NORMA_FLOAT, 4, (const int64_t[]){1, 1, 8, 8});
  assert_memory_equal(norma_value_tensor(contents)->data, norma_value_tensor(expected)->data, 64 * sizeof(float));
  norma_value_destroy(contents);
  norma_value_destroy(expected);
  for (size_t length = 0; length < png.size; length++) { /* cut anywhere */
    struct picture picture;
    unsigned char *part = malloc(length + 1);
    memcpy(part, png.bytes, length);
    if (length < png.size - 12) { /* the last chunk, an empty one, may be missing some bytes */
      assert_int_not_equal(picture_decode(runtime, part, length, &picture, &error), NORMA_OK);
    } else if (picture_decode(runtime, part, length, &picture, &error) == NORMA_OK) {
      picture_free(&picture);
    }
    free(part);
  }
  file_contents_free(&png);
  file_contents_free(&npy);
#else
  skip();
#endif
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(colour_planes_come_first),  cmocka_unit_test(channels_come_last_where_the_input_says_so),
      cmocka_unit_test(colour_becomes_grey),       cmocka_unit_test(grey_pictures_of_any_depth),
      cmocka_unit_test(sizes_that_differ_are_met), cmocka_unit_test(inputs_that_no_picture_fits),
      cmocka_unit_test(damage_is_refused),         cmocka_unit_test(a_png_of_the_project),
  };
  return cmocka_run_group_tests(tests, tool_runtime_begin, tool_runtime_end);
}
