/* Windows that slide over spatial axes: reading and resolving attributes against a count of positions, taps that exist,
 * dimensions in terms of sizes, and slices of planes. */
#include "ops/window.h"
#include "tests/support/model_builder.h"
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#include <stdlib.h>

/* A node that holds attributes. */
typedef struct fixture {
  memory memory;
  region region;
  graph *graph;
  node *node;
  norma_error error;
  window_attributes attributes;
} fixture;

static void fixture_init(fixture *f, int count, const attribute *attributes) {
  memset(f, 0, sizeof *f);
  memory_init(&f->memory, NULL, 0);
  region_init(&f->region, &f->memory);
  f->graph = graph_create(&f->region, &f->memory, "g", NULL, NULL);
  f->node = graph_add_node(f->graph, "n", "Pool", "", 0, 0, count);
  for (int i = 0; i < count; i++) f->node->attributes[i] = attributes[i];
}

static void fixture_finish(fixture *f) {
  graph_release(f->graph);
  region_free(&f->region);
}

/* ---------------------------------------------------------------------------------------------------------- reading */

static void attributes_and_their_defaults(void **state) {
  static const int64_t kernel[] = {3, 4}, strides[] = {2, 1}, dilations[] = {1, 5}, pads[] = {1, 2, 3, 4};
  const attribute given[] = {DRIVER_INTS("kernel_shape", 2, kernel), DRIVER_INTS("strides", 2, strides),
                             DRIVER_INTS("dilations", 2, dilations), DRIVER_INTS("pads", 4, pads),
                             DRIVER_INT("ceil_mode", 1)};
  fixture f;
  (void)state;
  fixture_init(&f, 5, given);
  const window_attributes *a = &f.attributes;
  assert_int_equal(window_read(f.node, &f.attributes, &f.error), NORMA_OK);
  assert_true(a->axes == 2 && a->has_kernel && a->ceil_mode && a->padding == WINDOW_PADS_GIVEN);
  assert_true(a->kernel[1] == 4 && a->stride[0] == 2 && a->dilation[1] == 5 && a->pad_begin[1] == 2 &&
              a->pad_end[0] == 3);
  fixture_finish(&f);
  fixture_init(&f, 0, NULL);
  assert_int_equal(window_read(f.node, &f.attributes, &f.error), NORMA_OK);
  assert_true(a->axes == 0 && !a->has_kernel && !a->ceil_mode && a->padding == WINDOW_PADS_GIVEN);
  fixture_finish(&f);
  fixture_init(&f, 1, given + 1); /* one list tells the number of axes; the others have their defaults */
  assert_int_equal(window_read(f.node, &f.attributes, &f.error), NORMA_OK);
  assert_true(a->axes == 2 && !a->has_kernel && a->dilation[0] == 1 && a->pad_begin[0] == 0 && a->pad_end[1] == 0);
  fixture_finish(&f);
}

static void names_of_paddings(void **state) {
  static const struct {
    const char *name;
    enum window_padding padding;
  } names[] = {{"NOTSET", WINDOW_PADS_GIVEN},
               {"", WINDOW_PADS_GIVEN},
               {"VALID", WINDOW_NO_PADS},
               {"SAME_UPPER", WINDOW_SAME_UPPER},
               {"SAME_LOWER", WINDOW_SAME_LOWER}};
  fixture f;
  (void)state;
  for (size_t i = 0; i < COUNT(names); i++) {
    const attribute given = DRIVER_TEXT("auto_pad", names[i].name);
    fixture_init(&f, 1, &given);
    assert_int_equal(window_read(f.node, &f.attributes, &f.error), NORMA_OK);
    assert_int_equal(f.attributes.padding, names[i].padding);
    fixture_finish(&f);
  }
}

static void values_that_can_never_be_right(void **state) {
  static const int64_t zeros[WINDOW_MAX_AXES + 1] = {0}, negative[] = {-1, 1, 1, 1}, ones[] = {1, 1, 1, 1},
                                               least[] = {INT64_MIN, 1};
  const struct {
    attribute given[2];
    const char *words;
  } cases[] = {{{DRIVER_INTS("kernel_shape", 2, zeros)}, "kernel_shape[0] is 0"},
               {{DRIVER_INTS("strides", 2, zeros)}, "strides[0] is 0"},
               {{DRIVER_INTS("strides", 2, least)}, "strides[0] is -9223372036854775808"},
               {{DRIVER_INTS("dilations", 2, negative)}, "dilations[0] is -1"},
               {{DRIVER_INTS("pads", 4, negative)}, "pads[0] is -1"},
               {{DRIVER_INTS("pads", 3, ones)}, "pads has 3 entries"},
               {{DRIVER_INTS("kernel_shape", 2, ones), DRIVER_INTS("strides", 3, ones)},
                "strides has 3 entries, which fits no number of axes that the lists before it have"},
               {{DRIVER_INTS("kernel_shape", WINDOW_MAX_AXES + 1, zeros)}, "fits no number of axes"},
               {{DRIVER_STRING("auto_pad", "same_upper")}, "auto_pad is \"same_upper\""}};
  (void)state;
  for (size_t c = 0; c < COUNT(cases); c++) {
    fixture f;
    fixture_init(&f, 1 + (cases[c].given[1].name != NULL), cases[c].given);
    assert_int_equal(window_read(f.node, &f.attributes, &f.error), NORMA_ERROR_INVALID_MODEL);
    if (!strstr(f.error.message, cases[c].words)) fail_msg("\"%s\", not \"%s\"", f.error.message, cases[c].words);
    fixture_finish(&f);
  }
}

/* -------------------------------------------------------------------------------------------------------- resolving */

static window_attributes random_attributes(uint64_t *seed) {
  window_attributes a = {.axes = (int)random_int(seed, 1, 3), .has_kernel = true, .ceil_mode = random_int(seed, 0, 1)};
  a.padding = (enum window_padding)random_int(seed, 0, 3);
  for (int d = 0; d < a.axes; d++) {
    a.kernel[d] = random_int(seed, 1, 5);
    a.stride[d] = random_int(seed, 1, 4);
    a.dilation[d] = random_int(seed, 1, 3);
    a.pad_begin[d] = random_int(seed, 0, 4);
    a.pad_end[d] = random_int(seed, 0, 4);
  }
  return a;
}

/* Positions one after the other, as long as the window lies in the padded input; with ceil_mode one more if it begins
 * in front of the padding of the end. */
static int64_t count_positions(const window_attributes *a, int d, int64_t input, int64_t begin, int64_t end) {
  const int64_t extent = (a->kernel[d] - 1) * a->dilation[d] + 1;
  int64_t count = 0, start = 0;
  for (; start + extent <= begin + input + end; start += a->stride[d]) count++;
  const bool is_whole = count > 0 && (begin + input + end - extent) % a->stride[d] == 0;
  if (a->ceil_mode && a->padding == WINDOW_PADS_GIVEN && !is_whole && start < begin + input) count++;
  return count;
}

static void outputs_are_positions(void **state) {
  uint64_t seed = 5;
  (void)state;
  for (int round = 0; round < 20000; round++) {
    const window_attributes a = random_attributes(&seed);
    char message[WINDOW_MESSAGE_SIZE] = "";
    int64_t input[3];
    window w;
    bool fits = true;
    for (int d = 0; d < a.axes; d++) input[d] = random_int(&seed, 0, 12);
    const bool resolved = window_resolve(&a, a.axes, input, NULL, &w, message);
    for (int d = 0; d < a.axes && fits; d++) {
      const int64_t extent = (a.kernel[d] - 1) * a.dilation[d] + 1;
      int64_t begin = a.pad_begin[d], end = a.pad_end[d];
      if (a.padding == WINDOW_NO_PADS) begin = end = 0;
      if (a.padding == WINDOW_SAME_UPPER ||
          a.padding == WINDOW_SAME_LOWER) { /* so that there are ceil(input / stride) */
        const int64_t wanted = (input[d] + a.stride[d] - 1) / a.stride[d],
                      room = (wanted - 1) * a.stride[d] + extent - input[d];
        const int64_t total = wanted == 0 || room < 0 ? 0 : room, half = total / 2;
        begin = a.padding == WINDOW_SAME_UPPER ? half : total - half;
        end = total - begin;
        if (resolved) assert_true(w.output[d] == wanted && w.pad_begin[d] == begin && w.pad_end[d] == end);
        continue;
      }
      fits = begin + input[d] + end >= extent || input[d] == 0;
      if (!fits || !resolved) continue;
      assert_true(w.pad_begin[d] == begin && w.pad_end[d] == end);
      assert_int_equal(w.output[d], begin + input[d] + end < extent ? 0 : count_positions(&a, d, input[d], begin, end));
    }
    assert_int_equal(resolved, fits);
    if (!resolved) assert_non_null(strstr(message, "the kernel spans"));
  }
}

static void what_is_not_known(void **state) {
  window_attributes a = {.axes = 2, .kernel = {3, 3}, .stride = {1, 1}, .dilation = {1, 1}, .has_kernel = true};
  char message[WINDOW_MESSAGE_SIZE];
  int64_t size;
  window w;
  (void)state;
  assert_true(window_resolve(&a, 2, (const int64_t[]){DIM_UNKNOWN, 5}, NULL, &w, message));
  assert_true(w.output[0] == DIM_UNKNOWN && w.output[1] == 3);
  assert_true(window_resolve(&a, 2, (const int64_t[]){5, 5}, (const int64_t[]){DIM_UNKNOWN, 3}, &w, message));
  assert_true(w.kernel[0] == 3 && w.output[0] == 3); /* the attribute says it */
  a.has_kernel = false;
  assert_true(window_resolve(&a, 2, (const int64_t[]){5, 5}, (const int64_t[]){DIM_UNKNOWN, 2}, &w, message));
  assert_true(w.output[0] == DIM_UNKNOWN && w.output[1] == 4);
  a.has_kernel = true;
  assert_false(window_kernel_size(&a, 0, (const int64_t[]){4, 4}, &size, message));
  assert_non_null(strstr(message, "kernel_shape[0] is 3 but the weights have 4"));
  assert_false(window_kernel_size(&(window_attributes){0}, 1, (const int64_t[]){4, 0}, &size, message));
  assert_non_null(strstr(message, "size 0 on spatial axis 1"));
  assert_false(window_resolve(&a, 3, (const int64_t[]){5, 5, 5}, NULL, &w, message));
  assert_non_null(strstr(message, "for 2 spatial axes, but the input has 3"));
  assert_false(window_resolve(&a, 0, NULL, NULL, &w, message));
  assert_false(window_resolve(&a, WINDOW_MAX_AXES + 1, NULL, NULL, &w, message));
}

static void sizes_that_overflow(void **state) {
  static const struct {
    int64_t input, kernel, stride, dilation, pads;
    enum window_padding padding;
  } cases[] = {{5, INT64_MAX, 1, 2, 0, WINDOW_PADS_GIVEN},
               {5, 3, 1, INT64_MAX, 0, WINDOW_PADS_GIVEN},
               {5, 3, 1, 1, INT64_MAX, WINDOW_PADS_GIVEN},
               {INT64_MAX, 3, 1, 1, 1, WINDOW_PADS_GIVEN},
               {INT64_MAX, INT64_MAX - 1, 1, 1, 0, WINDOW_SAME_UPPER},
               {INT64_MAX - 3, 5, 2, INT64_MAX / 8, 0, WINDOW_SAME_LOWER}};
  (void)state;
  for (size_t c = 0; c < COUNT(cases); c++) {
    const window_attributes a = {.axes = 1,
                                 .has_kernel = true,
                                 .kernel = {cases[c].kernel},
                                 .stride = {cases[c].stride},
                                 .dilation = {cases[c].dilation},
                                 .pad_begin = {cases[c].pads},
                                 .pad_end = {cases[c].pads},
                                 .padding = cases[c].padding};
    char message[WINDOW_MESSAGE_SIZE] = "";
    window w;
    if (window_resolve(&a, 1, &cases[c].input, NULL, &w, message)) fail_msg("case %d was resolved", (int)c);
    assert_non_null(strstr(message, "are too large"));
  }
}

/* ------------------------------------------------------------------------------------------------------------ using */

/* Dimension i of the output is floor((size + offset) / stride), for every size for which there is an output. */
static void dimensions_of_sizes(void **state) {
  uint64_t seed = 6;
  int said = 0;
  (void)state;
  for (int round = 0; round < 3000; round++) {
    window_attributes a = random_attributes(&seed);
    int64_t pads[6];
    for (int d = 0; d < a.axes; d++) {
      pads[d] = a.pad_begin[d];
      pads[a.axes + d] = a.pad_end[d];
    }
    static const char *const names[] = {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"};
    const size_t axes = (size_t)a.axes;
    const attribute given[] = {DRIVER_INTS("kernel_shape", axes, a.kernel), DRIVER_INTS("strides", axes, a.stride),
                               DRIVER_INTS("dilations", axes, a.dilation),  DRIVER_INTS("pads", 2 * axes, pads),
                               DRIVER_TEXT("auto_pad", names[a.padding]),   DRIVER_INT("ceil_mode", a.ceil_mode)};
    fixture f;
    fixture_init(&f, 6, given);
    dimension_source source;
    assert_true(window_dimension(f.node, 0, NULL, false, &source) && source.axis == 0 && source.stride == 1 &&
                source.offset == 0);
    assert_true(window_dimension(f.node, 1, NULL, true, &source) && source.axis == 1 && source.stride == 1);
    assert_false(window_dimension(f.node, 1, NULL, false, &source));
    assert_false(window_dimension(f.node, 2 + a.axes, NULL, true, &source));
    for (int d = 0; d < a.axes; d++) {
      const bool known = window_dimension(f.node, 2 + d, round % 2 ? a.kernel : NULL, true, &source);
      assert_int_equal(known, !a.ceil_mode);
      if (!known) continue;
      assert_int_equal(source.axis, 2 + d);
      for (int64_t size = 1; size < 30; size++) {
        int64_t input[3] = {99, 99, 99};
        char message[WINDOW_MESSAGE_SIZE];
        window w;
        input[d] = size;
        if (!window_resolve(&a, a.axes, input, NULL, &w, message)) continue;
        assert_int_equal(w.output[d], (size + source.offset) / source.stride);
        said++;
      }
    }
    fixture_finish(&f);
  }
  assert_true(said > 1000);
}

/* The taps of a position whose inputs exist. */
static void taps_that_exist(void **state) {
  uint64_t seed = 7;
  (void)state;
  for (int round = 0; round < 5000; round++) {
    window w = {.axes = 1};
    w.input[0] = random_int(&seed, 0, 9);
    w.kernel[0] = random_int(&seed, 1, 9);
    w.stride[0] = random_int(&seed, 1, 5);
    w.dilation[0] = random_int(&seed, 1, 5);
    w.pad_begin[0] = random_int(&seed, 0, 12);
    for (int64_t position = 0; position < 9; position++) {
      int64_t begin, end;
      window_clip(&w, 0, position, &begin, &end);
      assert_true(begin >= 0 && begin <= end && end <= w.kernel[0]);
      for (int64_t k = 0; k < w.kernel[0]; k++) {
        const int64_t at = position * w.stride[0] + k * w.dilation[0] - w.pad_begin[0];
        assert_int_equal(at >= 0 && at < w.input[0], k >= begin && k < end);
      }
    }
  }
}

static void positions_in_order(void **state) {
  static const int64_t sizes[] = {2, 3, 4};
  int64_t position[3] = {0};
  (void)state;
  for (int i = 0; i < 24; i++) {
    assert_int_equal((position[0] * 3 + position[1]) * 4 + position[2], i);
    assert_int_equal(window_advance(3, sizes, position), i < 23);
  }
  assert_true(position[0] == 0 && position[1] == 0 && position[2] == 0);
}

static void windows_as_planes(void **state) {
  const window flat = {
      .axes = 1, .input = {9}, .output = {7}, .kernel = {3}, .stride = {1}, .dilation = {1}, .pad_begin = {2}};
  const window high = {.axes = 2,
                       .input = {8, 9},
                       .output = {6, 7},
                       .kernel = {3, 4},
                       .stride = {1, 2},
                       .dilation = {5, 6},
                       .pad_begin = {2, 3}};
  (void)state;
  const struct window_2d a = window_plane(&flat), b = window_plane(&high);
  assert_true(a.input[0] == 1 && a.input[1] == 9 && a.output[0] == 1 && a.kernel[0] == 1 && a.kernel[1] == 3 &&
              a.pad[0] == 0 && a.pad[1] == 2);
  assert_true(b.input[0] == 8 && b.output[1] == 7 && b.kernel[1] == 4 && b.stride[1] == 2 && b.dilation[0] == 5 &&
              b.pad[1] == 3);
  assert_true(window_inputs(&high) == 72 && window_outputs(&high) == 42 && window_taps(&high) == 12);
  const window cube = {.axes = 3};
  assert_false(window_suits_planes(&cube));
  assert_true(window_suits_planes(&high));
}

/* Slices cover all rows, and none of them costs more than some milliseconds. */
static void slices_of_large_planes(void **state) {
  static const int64_t sizes[] = {1, 7, 50, 400, 3000};
  (void)state;
  for (size_t i = 0; i < COUNT(sizes); i++) {
    for (size_t k = 0; k < COUNT(sizes); k++) {
      const window w = {.axes = 2, .output = {sizes[i], sizes[i]}, .kernel = {sizes[k], sizes[k]}};
      int64_t rows;
      const int64_t count = window_slices(&w, &rows);
      assert_true(rows >= 1 && count == (sizes[i] + rows - 1) / rows);
      assert_true(rows == 1 || 2.0 * (double)(rows * sizes[i] * sizes[k] * sizes[k]) < 2e8);
    }
  }
}

/* ----------------------------------------------------------------------------------------------------------- slices */

static float *random_floats(size_t count) {
  float *floats = malloc((count + 1) * sizeof *floats);
  assert_non_null(floats);
  for (size_t i = 0; i < count; i++) floats[i] = (float)(rand() % 2000) / 1000 - 1;
  return floats;
}

typedef enum plane_kind { DEPTHWISE, MAX, AVERAGE, AVERAGE_WITH_PADS, PLANE_KINDS } plane_kind;

static void compute_plane(plane_kind kind, const struct window_2d *plane, const size_t pad_end[2], const float *x,
                          const float *w, float *y, void *scratch) {
  const struct kernel_table *kernels = kernel_table_default();
  struct activation none = {UNARY_IDENTITY, 0, 0};
  if (kind == DEPTHWISE)
    kernels->depthwise_f32(plane, x, w, 0.5f, NULL, none, y, scratch);
  else if (kind == MAX)
    kernels->max_pool_f32(plane, x, y, scratch);
  else
    kernels->average_pool_f32(plane, kind == AVERAGE_WITH_PADS, pad_end, x, y, scratch);
}

static void slices_are_the_plane(void **state) {
  (void)state;
  srand(5);
  for (int round = 0; round < 2000; round++) {
    window w = {.axes = 2};
    size_t pad_end[2];
    for (int d = 0; d < 2; d++) {
      w.input[d] = 1 + rand() % 40;
      w.kernel[d] = 1 + rand() % 5;
      w.stride[d] = 1 + rand() % 3;
      w.dilation[d] = 1 + rand() % 3;
      w.pad_begin[d] = rand() % 8;
      w.pad_end[d] = rand() % 12;
      int64_t room = w.input[d] + w.pad_begin[d] + w.pad_end[d] - (w.kernel[d] - 1) * w.dilation[d] - 1;
      w.output[d] = room < 0 ? 0 : room / w.stride[d] + 1;
      pad_end[d] = (size_t)w.pad_end[d];
    }
    if (window_outputs(&w) == 0) continue;
    assert_true(window_suits_planes(&w));
    struct window_2d plane = window_plane(&w);
    int64_t rows = 1 + rand() % w.output[0];
    size_t outputs = (size_t)window_outputs(&w);
    float *x = random_floats((size_t)window_inputs(&w)), *weights = random_floats((size_t)window_taps(&w));
    float *whole = random_floats(outputs), *sliced = random_floats(outputs);
    void *scratch = malloc(window_slices_scratch(kernel_table_default(), &plane, w.output[0]));
    void *slice_scratch = malloc(window_slices_scratch(kernel_table_default(), &plane, rows));
    plane_kind kind = (plane_kind)(round % PLANE_KINDS);
    compute_plane(kind, &plane, pad_end, x, weights, whole, scratch);
    for (int64_t row = 0; row < w.output[0]; row += rows) {
      struct window_slice slice = window_slice(&plane, pad_end[0], (size_t)row, (size_t)rows);
      size_t slice_pad_end[2] = {slice.pad_end, pad_end[1]};
      compute_plane(kind, &slice.plane, slice_pad_end, x + slice.x_offset, weights, sliced + slice.y_offset,
                    slice_scratch);
    }
    assert_memory_equal(whole, sliced, outputs * sizeof *whole);
    free(x);
    free(weights);
    free(whole);
    free(sliced);
    free(scratch);
    free(slice_scratch);
  }
}

/* A window of two taps may span gigabytes of padding: kernels that copy padded rows are not for it. */
static void windows_that_span_much(void **state) {
  (void)state;
  static const char *const op_types[] = {"MaxPool", "AveragePool", "Conv"};
  const int64_t far = INT64_C(1) << 31;
  for (int i = 0; i < 3; i++) {
    model_builder *b = builder_create(19);
    float data[16], ones[4] = {1, 1, 1, 1};
    for (int k = 0; k < 16; k++) data[k] = (float)(k + 1);
    builder_input(b, "x", NORMA_FLOAT, 4, (int64_t[]){1, 1, 4, 4});
    builder_input(b, "w", NORMA_FLOAT, 4, (int64_t[]){1, 1, 2, 2});
    node *node = builder_node(b, op_types[i], i == 2 ? "x w" : "x", "y");
    builder_ints(node, "kernel_shape", 2, (int64_t[]){2, 2});
    builder_ints(node, "dilations", 2, (int64_t[]){far, far});
    builder_ints(node, "pads", 4, (int64_t[]){far, far, 0, 0});
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    size_t size;
    const void *bytes = builder_bytes(b, &size);
    norma_model *model;
    norma_session *session;
    norma_error error;
    norma_tensor x, w;
    norma_tensor_init(&x, NORMA_FLOAT, 4, (int64_t[]){1, 1, 4, 4}, data);
    norma_tensor_init(&w, NORMA_FLOAT, 4, (int64_t[]){1, 1, 2, 2}, ones);
    if (norma_model_load_memory(bytes, size, NULL, &model, &error) != NORMA_OK) fail_msg("%s", error.message);
    assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
    assert_int_equal(norma_session_set_input(session, "x", &x, &error), NORMA_OK);
    assert_int_equal(norma_session_set_input(session, "w", &w, &error), NORMA_OK);
    if (norma_session_run(session, &error) != NORMA_OK) fail_msg("%s: %s", op_types[i], error.message);
    const float *y = norma_value_tensor(norma_session_output(session, 0))->data;
    for (int k = 0; k < 16; k++) assert_true(y[k] == data[k]); /* one tap lies inside */
    norma_session_destroy(session);
    norma_model_destroy(model);
    builder_destroy(b);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(attributes_and_their_defaults),
      cmocka_unit_test(names_of_paddings),
      cmocka_unit_test(values_that_can_never_be_right),
      cmocka_unit_test(outputs_are_positions),
      cmocka_unit_test(what_is_not_known),
      cmocka_unit_test(sizes_that_overflow),
      cmocka_unit_test(dimensions_of_sizes),
      cmocka_unit_test(taps_that_exist),
      cmocka_unit_test(positions_in_order),
      cmocka_unit_test(windows_as_planes),
      cmocka_unit_test(slices_of_large_planes),
      cmocka_unit_test(slices_are_the_plane),
      cmocka_unit_test(windows_that_span_much),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
