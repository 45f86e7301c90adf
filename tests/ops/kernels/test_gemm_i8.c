/* gemm_i8 against the triple loop: equal to the bit, whatever the table, the override, the signs, the zero points, the
 * strides and the division of the work. */
#include "tests/ops/kernels/kernel_test.h"

enum zeros { NO_ZERO, ONE_ZERO, MANY_ZEROS };

struct case_i8 {
  size_t m, n, k;
  norma_element_type a_type, b_type, c_type;
  bool a_transposed, b_transposed, a_packed;
  enum zeros a_zeros, b_zeros;
  bool bias, many_scales;
  bool limited;                 /* results of 8 bits */
  bool column_bias, residual;   /* of float */
  struct activation activation; /* of float */
  size_t gap;                   /* between the rows of c */
};

/* Operands as bytes, and everything else that a product takes. */
struct operands {
  uint8_t *a, *b;
  int32_t *a_zero, *b_zero, *bias, c_zero, c_low, c_high;
  float *scale, *column_bias, *residual; /* the residual has no gaps */
};

static int32_t lowest(norma_element_type type) {
  return type == NORMA_INT8 ? -128 : 0;
}

static int32_t element(uint8_t byte, norma_element_type type) {
  return type == NORMA_INT8 ? (int8_t)byte : byte;
}

static size_t element_size(norma_element_type type) {
  return type == NORMA_INT8 || type == NORMA_UINT8 ? 1 : 4;
}

static size_t a_place(const struct case_i8 *t, size_t i, size_t p) {
  return t->a_transposed ? p * t->m + i : i * t->k + p;
}

static size_t b_place(const struct case_i8 *t, size_t p, size_t j) {
  return t->b_transposed ? j * t->k + p : p * t->n + j;
}

/* ---- the naive reference ---- */
static uint32_t naive_sum(const struct case_i8 *t, const struct operands *o, size_t i, size_t j) {
  const int64_t a_zero = t->a_zeros == NO_ZERO ? 0 : o->a_zero[t->a_zeros == MANY_ZEROS ? i : 0];
  const int64_t b_zero = t->b_zeros == NO_ZERO ? 0 : o->b_zero[t->b_zeros == MANY_ZEROS ? j : 0];
  uint64_t sum = t->bias ? (uint64_t)(int64_t)o->bias[j] : 0;
  for (size_t p = 0; p < t->k; p++) {
    const int64_t x = element(o->a[a_place(t, i, p)], t->a_type), y = element(o->b[b_place(t, p, j)], t->b_type);
    sum += (uint64_t)((x - a_zero) * (y - b_zero));
  }
  return (uint32_t)sum;
}

static float naive_activation(struct activation f, float x) {
  switch (f.kind) {
  case UNARY_RELU:
    return x < 0 ? 0 : x;
  case UNARY_CLIP:
    return x < f.a ? f.a : x > f.b ? f.b : x;
  case UNARY_ABS:
    return fabsf(x);
  default:
    return x;
  }
}

static void naive_store(const struct case_i8 *t, const struct operands *o, char *c, size_t i, size_t j, uint32_t sum) {
  float scaled = (float)(int32_t)sum * (t->c_type == NORMA_INT32 ? 0 : o->scale[t->many_scales ? j : 0]);
  if (t->c_type == NORMA_INT32) {
    memcpy(c, &sum, 4);
  } else if (t->c_type == NORMA_FLOAT) {
    if (t->column_bias) scaled += o->column_bias[j];
    if (t->residual) scaled += o->residual[i * t->n + j];
    scaled = naive_activation(t->activation, scaled);
    memcpy(c, &scaled, 4);
  } else {
    const double least = t->limited ? o->c_low : lowest(t->c_type), most = t->limited ? o->c_high : least + 255;
    const double y = nearbyint(scaled) + o->c_zero;
    const int byte = (int)(!(y >= least) ? least : y > most ? most : y);
    *(uint8_t *)c = (uint8_t)byte;
  }
}

/* ---- the kernel ---- */

/* Packs in two parts, computes in four. */
static void run_i8(const struct kernel_table *table, const struct case_i8 *t, const struct operands *o, void *c) {
  const size_t rows = table->gemm_i8_row_panels(t->m), columns = table->gemm_i8_column_panels(t->n);
  const size_t row_cut = random_size(0, rows), column_cut = random_size(0, columns);
  struct gemm_i8 gemm = {
      .m = t->m, .n = t->n, .k = t->k, .a_type = t->a_type, .b_type = t->b_type, .c_type = t->c_type};
  gemm.a_row_stride = t->a_transposed ? 1 : t->k;
  gemm.a_column_stride = t->a_transposed ? t->m : 1;
  const size_t b_row_stride = t->b_transposed ? 1 : t->n, b_column_stride = t->b_transposed ? t->k : 1;
  const size_t cut_column = column_cut * table->gemm_i8_tile_columns;

  void *packed_b = exact_buffer(table->gemm_i8_packed_b_size(t->k, t->n));
  table->gemm_i8_pack_b(packed_b, o->b, t->b_type, t->k, t->n, b_row_stride, b_column_stride, 0, column_cut);
  if (column_cut < columns)
    table->gemm_i8_pack_b(packed_b, o->b + cut_column * b_column_stride, t->b_type, t->k, t->n, b_row_stride,
                          b_column_stride, column_cut, columns);
  gemm.packed_b = packed_b;

  void *packed_a = exact_buffer(table->gemm_i8_packed_a_size(t->m, t->k));
  if (t->a_packed) {
    /* panels differ by one row at most, the larger ones first */
    const size_t larger = rows ? t->m % rows : 0, cut_row = rows ? row_cut * (t->m / rows) : 0;
    const uint8_t *second = o->a + (cut_row + (row_cut < larger ? row_cut : larger)) * gemm.a_row_stride;
    table->gemm_i8_pack_a(packed_a, o->a, t->a_type, t->m, t->k, gemm.a_row_stride, gemm.a_column_stride, 0, row_cut);
    if (row_cut < rows)
      table->gemm_i8_pack_a(packed_a, second, t->a_type, t->m, t->k, gemm.a_row_stride, gemm.a_column_stride, row_cut,
                            rows);
    gemm.packed_a = packed_a;
  } else {
    gemm.a = o->a;
  }
  gemm.c = c;
  gemm.c_row_stride = t->n + t->gap;
  if (t->a_zeros != NO_ZERO) gemm.a_zero = o->a_zero;
  if (t->b_zeros != NO_ZERO) gemm.b_zero = o->b_zero;
  gemm.a_zero_stride = t->a_zeros == MANY_ZEROS;
  gemm.b_zero_stride = t->b_zeros == MANY_ZEROS;
  if (t->bias) gemm.bias = o->bias;
  if (t->c_type != NORMA_INT32) gemm.scale = o->scale;
  gemm.scale_stride = t->many_scales;
  gemm.c_zero = o->c_zero;
  gemm.c_limited = t->limited;
  gemm.c_low = o->c_low;
  gemm.c_high = o->c_high;
  gemm.epilogue.activation = t->activation;
  gemm.epilogue.residual_stride = t->n;
  if (t->column_bias) gemm.epilogue.column_bias = o->column_bias;
  if (t->residual) gemm.epilogue.residual = o->residual;
  gemm.function = table->unary_f32[t->activation.kind];

  void *scratch = exact_buffer(table->gemm_i8_scratch_size(&gemm));
  table->gemm_i8_run(&gemm, row_cut, rows, column_cut, columns, scratch);
  table->gemm_i8_run(&gemm, 0, row_cut, 0, column_cut, scratch);
  table->gemm_i8_run(&gemm, row_cut, rows, 0, column_cut, scratch);
  table->gemm_i8_run(&gemm, 0, row_cut, column_cut, columns, scratch);
  free(packed_a), free(packed_b), free(scratch);
}

static void check_i8(const struct kernel_table *table, const struct case_i8 *t, const struct operands *o) {
  const size_t size = element_size(t->c_type), row = t->n + t->gap;
  const size_t bytes = t->m ? ((t->m - 1) * row + t->n) * size : 0;
  char *c = exact_buffer(bytes), *expected = exact_buffer(bytes);
  memset(c, 0x5a, bytes);
  memset(expected, 0x5a, bytes);
  run_i8(table, t, o, c);
  for (size_t i = 0; i < t->m; i++)
    for (size_t j = 0; j < t->n; j++) naive_store(t, o, expected + (i * row + j) * size, i, j, naive_sum(t, o, i, j));
  for (size_t i = 0; i < bytes; i++)
    if (c[i] != expected[i])
      fail_msg("%s: %zux%zux%zu%s%s%s, types %d %d to %d, zero points %d %d%s%s: byte %zu is %d, expected %d",
               table->name, t->m, t->n, t->k, t->a_transposed ? " A^T" : "", t->b_transposed ? " B^T" : "",
               t->a_packed ? " A packed" : "", (int)t->a_type, (int)t->b_type, (int)t->c_type, (int)t->a_zeros,
               (int)t->b_zeros, t->bias ? ", bias" : "", t->many_scales ? ", scales" : "", i, c[i], expected[i]);
  free(c), free(expected);
}

/* ---- data ---- */
static uint8_t *random_bytes(size_t n) {
  uint8_t *x = exact_buffer(n);
  for (size_t i = 0; i < n; i++) x[i] = (uint8_t)(random_bits() >> 8);
  return x;
}

static int32_t *random_zeros(size_t n, norma_element_type type) {
  int32_t *x = exact_buffer(n * sizeof *x);
  for (size_t i = 0; i < n; i++) {
    const uint32_t bits = random_bits() >> 8;
    x[i] = lowest(type) + (int32_t)(bits % 8 == 0 ? 0 : bits % 8 == 1 ? 255 : bits / 8 % 256); /* often the ends */
  }
  return x;
}

static struct operands random_operands(const struct case_i8 *t) {
  struct operands o = {.a = random_bytes(t->m * t->k),
                       .b = random_bytes(t->k * t->n),
                       .a_zero = random_zeros(t->a_zeros == MANY_ZEROS ? t->m : 1, t->a_type),
                       .b_zero = random_zeros(t->b_zeros == MANY_ZEROS ? t->n : 1, t->b_type),
                       .bias = exact_buffer(t->n * sizeof(int32_t)),
                       .scale = random_floats(t->many_scales ? t->n : 1)};
  for (size_t j = 0; j < t->n; j++) o.bias[j] = (int32_t)random_bits() >> (random_bits() % 24);
  /* results of 8 bits all over their range, and beyond */
  for (size_t j = 0; j < (t->many_scales ? t->n : 1); j++) o.scale[j] *= 1.0f / (float)(50 * (t->k + 1));
  if (element_size(t->c_type) == 1) o.c_zero = lowest(t->c_type) + (int32_t)(random_bits() >> 8) % 256;
  o.c_low = lowest(t->c_type) + (int32_t)random_size(0, 255);
  o.c_high = o.c_low + (int32_t)random_size(0, (size_t)(lowest(t->c_type) + 255 - o.c_low));
  o.column_bias = random_floats(t->n);
  o.residual = random_floats(t->m * t->n);
  return o;
}

static void free_operands(struct operands *o) {
  free(o->a), free(o->b), free(o->a_zero), free(o->b_zero), free(o->bias), free(o->scale);
  free(o->column_bias), free(o->residual);
}

static struct case_i8 random_case(size_t m, size_t n, size_t k) {
  static const norma_element_type results[] = {NORMA_INT32, NORMA_FLOAT, NORMA_INT8, NORMA_UINT8};
  static const struct activation activations[] = {
      {UNARY_IDENTITY, 0, 0}, {UNARY_RELU, 0, 0}, {UNARY_CLIP, -0.01f, 0.02f}, {UNARY_ABS, 0, 0}};
  const uint32_t bits = random_bits(), more = random_bits() >> 8;
  return (struct case_i8){.m = m,
                          .n = n,
                          .k = k,
                          .a_type = bits & 1 ? NORMA_INT8 : NORMA_UINT8,
                          .b_type = bits & 2 ? NORMA_INT8 : NORMA_UINT8,
                          .c_type = results[bits >> 2 & 3],
                          .a_transposed = bits & 16,
                          .b_transposed = bits & 32,
                          .a_packed = bits & 64,
                          .bias = bits & 128,
                          .many_scales = bits & 256,
                          .limited = more & 1,
                          .column_bias = more & 2,
                          .residual = more & 4,
                          .activation = activations[more >> 3 & 3],
                          .gap = bits >> 9 & 3,
                          .a_zeros = (enum zeros)((bits >> 11) % 3),
                          .b_zeros = (enum zeros)((bits >> 20) % 3)};
}

static void check_random(const struct kernel_table *table, size_t m, size_t n, size_t k) {
  const struct case_i8 t = random_case(m, n, k);
  struct operands o = random_operands(&t);
  check_i8(table, &t, &o);
  free_operands(&o);
}

/* ---- tests ---- */
TABLE_TEST(sizes_around_the_tile) {
  const size_t rows = table->gemm_i8_tile_rows, columns = table->gemm_i8_tile_columns;
  const size_t lanes = table->vector_bytes / 4;
  const size_t ms[] = {1, 2, 3, rows - 1, rows, rows + 1, 2 * rows + 1};
  const size_t ns[] = {1, lanes - 1, lanes, lanes + 1, columns - 1, columns, columns + 1, 4 * columns + 3};
  const size_t ks[] = {0, 1, 2, 3, 4, 5, 15, 16, 17, 64, 67};
  for (size_t i = 0; i < sizeof ms / sizeof *ms; i++)
    for (size_t j = 0; j < sizeof ns / sizeof *ns; j++)
      for (size_t p = 0; p < sizeof ks / sizeof *ks; p++) check_random(table, ms[i], ns[j], ks[p]);
}

TABLE_TEST(random_sizes) {
  for (int i = 0; i < 400; i++) check_random(table, random_size(1, 40), random_size(1, 150), random_size(0, 80));
}

TABLE_TEST(all_signs_and_zero_points) {
  for (int signs = 0; signs < 4; signs++)
    for (int zeros = 0; zeros < 9; zeros++)
      for (int repeat = 0; repeat < 4; repeat++) {
        struct case_i8 t = random_case(random_size(1, 20), random_size(1, 140), random_size(1, 50));
        t.a_type = signs & 1 ? NORMA_INT8 : NORMA_UINT8;
        t.b_type = signs & 2 ? NORMA_INT8 : NORMA_UINT8;
        t.a_zeros = (enum zeros)(zeros % 3);
        t.b_zeros = (enum zeros)(zeros / 3);
        struct operands o = random_operands(&t);
        check_i8(table, &t, &o);
        free_operands(&o);
      }
}

/* More rows than are packed at a time. */
TABLE_TEST(several_rounds_of_rows) {
  for (int i = 0; i < 4; i++) check_random(table, random_size(300, 400), random_size(1, 9), random_size(900, 1100));
  check_random(table, 2 * table->gemm_i8_tile_rows + 1, 3, 40000); /* rounds of one panel */
}

TABLE_TEST(empty_output) {
  check_random(table, 0, 5, 3);
  check_random(table, 5, 0, 3);
  check_random(table, 0, 0, 0);
}

/* Elements and zero points at the ends of their ranges; sums that leave 16 bits at once, and with LONG products 32 bits
 * even where they are divided among four registers. */
TABLE_TEST(extreme_values) {
  enum { LONG = 300000 };
  static const uint8_t bytes[] = {0, 127, 128, 255};
  static const size_t ks[] = {1, 2, 4, 7, LONG};
  for (int signs = 0; signs < 4; signs++)
    for (int ends = 0; ends < 16; ends++)
      for (int zero_ends = 0; zero_ends < 4; zero_ends++)
        for (size_t p = 0; p < sizeof ks / sizeof *ks; p++) {
          if (ks[p] == LONG && (ends % 5 != 0 || zero_ends % 3 != 0)) continue;
          struct case_i8 t = {.m = 3, .n = 5, .k = ks[p], .c_type = NORMA_INT32};
          t.a_type = signs & 1 ? NORMA_INT8 : NORMA_UINT8;
          t.b_type = signs & 2 ? NORMA_INT8 : NORMA_UINT8;
          t.a_zeros = t.b_zeros = ONE_ZERO;
          t.a_packed = zero_ends == 2;
          struct operands o = random_operands(&t);
          memset(o.a, bytes[ends % 4], t.m * t.k);
          memset(o.b, bytes[ends / 4], t.k * t.n);
          *o.a_zero = lowest(t.a_type) + (zero_ends & 1 ? 255 : 0);
          *o.b_zero = lowest(t.b_type) + (zero_ends & 2 ? 255 : 0);
          check_i8(table, &t, &o);
          free_operands(&o);
        }
}

/* Zero points are any 32-bit integers. */
TABLE_TEST(zero_points_out_of_range) {
  for (int i = 0; i < 20; i++) {
    struct case_i8 t = random_case(random_size(1, 9), random_size(1, 70), random_size(1, 30));
    t.c_type = NORMA_INT32;
    struct operands o = random_operands(&t);
    for (size_t j = 0; j < (t.a_zeros == MANY_ZEROS ? t.m : 1); j++) o.a_zero[j] = (int32_t)random_bits();
    for (size_t j = 0; j < (t.b_zeros == MANY_ZEROS ? t.n : 1); j++) o.b_zero[j] = (int32_t)random_bits();
    check_i8(table, &t, &o);
    free_operands(&o);
  }
}

/* Halves go to the even neighbour; what is too large saturates, infinite or not; NaN is the lowest. */
TABLE_TEST(rounding_and_saturation) {
  static const float scales[] = {0.5f, -0.5f, 0.25f, 1, 0, 1e30f, -1e30f, INFINITY, -INFINITY, NAN, 1e-30f};
  for (size_t s = 0; s < sizeof scales / sizeof *scales; s++)
    for (int type = 0; type < 2; type++)
      for (int zero = 0; zero < 3; zero++) {
        struct case_i8 t = {.m = 1, .n = 255, .k = 1, .a_type = NORMA_UINT8, .b_type = NORMA_INT8};
        t.c_type = type ? NORMA_INT8 : NORMA_UINT8;
        struct operands o = random_operands(&t);
        o.a[0] = 1;
        for (size_t j = 0; j < t.n; j++) o.b[j] = (uint8_t)(j - 127);
        *o.scale = scales[s];
        o.c_zero = lowest(t.c_type) + (zero == 0 ? 0 : zero == 1 ? 255 : 100);
        check_i8(table, &t, &o);
        free_operands(&o);
      }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sizes_around_the_tile),
      cmocka_unit_test(random_sizes),
      cmocka_unit_test(all_signs_and_zero_points),
      cmocka_unit_test(several_rounds_of_rows),
      cmocka_unit_test(empty_output),
      cmocka_unit_test(extreme_values),
      cmocka_unit_test(zero_points_out_of_range),
      cmocka_unit_test(rounding_and_saturation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
