/*
 * QLinearAveragePool, QLinearGlobalAveragePool, NhwcMaxPool 1 (com.microsoft): pools of 8-bit integers
 *
 *   means   Y = saturate(round(mean of (X - X_zero) * X_scale / Y_scale) + Y_zero), halves to even; sums are exact.
 *           count_include_pad counts padding, as x_zero.
 *   maxima  Y = maximum of X
 *
 * X is [N, C, D1 .. Dn], or with `channels_last` and in NhwcMaxPool [N, D1 .. Dn, C]. A mean over nothing is the lowest
 * number of the type, a maximum too. The inner operators of these names take channel blocks (ops/blocked.h), whose
 * pixels are like samples of 16 channels that come last.
 */
#include "ops/blocked.h"
#include "ops/quantized/quantization.h"
#include "ops/window.h"
#include "ops/work.h"

#include <math.h>

enum qlinear_pool_kind { QLINEAR_AVERAGE, QLINEAR_GLOBAL_AVERAGE, NHWC_MAX };
enum qlinear_pool_input { POOL_X_SCALE = 1, POOL_X_ZERO, POOL_Y_SCALE, POOL_Y_ZERO };

typedef struct qlinear_pool_state {
  enum qlinear_pool_kind kind;
  window_attributes attributes;
  bool channels_last, is_blocked, count_pad;

  /* The plan's: X is planes x inputs x inner, where inner is 1 or, with channels last, the channels. */
  window window;
  norma_element_type type;
  int64_t planes, inputs, outputs, inner;
  int64_t rows, grain; /* positions of a piece of work; pieces that are worth a thread */
} qlinear_pool_state;

/* ----------------------------------------------------------------------------------------------- attributes, shapes */

static norma_status qlinear_pool_read(const node *node, void *state, norma_error *error) {
  static const struct {
    const char *name;
    enum qlinear_pool_kind kind;
  } kinds[] = {{"QLinearAveragePool", QLINEAR_AVERAGE},
               {"QLinearGlobalAveragePool", QLINEAR_GLOBAL_AVERAGE},
               {"NhwcMaxPool", NHWC_MAX}};
  qlinear_pool_state *pool = state;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (strcmp(kinds[i].name, node->op->name) == 0) pool->kind = kinds[i].kind;
  }
  pool->is_blocked = strcmp(node->op->domain, OPERATOR_INNER_DOMAIN) == 0;
  pool->channels_last = pool->kind == NHWC_MAX || pool->is_blocked || attribute_int(node, "channels_last", 0) != 0;
  pool->count_pad = attribute_int(node, "count_include_pad", 0) != 0;
  if (pool->kind == QLINEAR_GLOBAL_AVERAGE) return NORMA_OK;
  TRY(window_read(node, &pool->attributes, error));
  if (pool->attributes.has_kernel) return NORMA_OK;
  return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "kernel_shape is missing");
}

/* [N, C, D1 .. Dn] of what is given; of blocks, [N * blocks, 16, H, W]. */
static shape qlinear_pool_channels_first(const qlinear_pool_state *pool, const shape *given) {
  if (!pool->is_blocked || given->rank != 5) return pool->channels_last ? shape_channels_first(given) : *given;
  const int64_t planes = dims_product(given->dims, 0, 2);
  const int64_t dims[4] = {planes, given->dims[4], given->dims[2], given->dims[3]};
  return shape_make(4, dims);
}

static norma_status qlinear_pool_infer(infer_context *context) {
  const qlinear_pool_state *pool = context->state;
  shape y = *infer_shape(context, 0);
  TRY(infer_singles(context, INPUT(POOL_X_SCALE) | INPUT(POOL_X_ZERO) | INPUT(POOL_Y_SCALE) | INPUT(POOL_Y_ZERO)));
  if (y.rank != RANK_UNKNOWN && y.rank < 3)
    return infer_fail(context, "the input has rank %d: it needs a batch, a channel and at least one spatial axis",
                      y.rank);
  const shape given = y;
  y = qlinear_pool_channels_first(pool, &y);
  if (pool->kind == QLINEAR_GLOBAL_AVERAGE) {
    for (int i = 2; i < y.rank; i++) y.dims[i] = 1;
  } else if (y.rank != RANK_UNKNOWN) {
    window window;
    char message[WINDOW_MESSAGE_SIZE];
    if (!window_resolve(&pool->attributes, y.rank - 2, y.dims + 2, NULL, &window, message))
      return infer_fail(context, "%s", message);
    memcpy(y.dims + 2, window.output, (size_t)window.axes * sizeof *y.dims);
  }
  if (pool->is_blocked && given.rank == 5) {
    const int64_t dims[5] = {given.dims[0], given.dims[1], y.dims[2], y.dims[3], given.dims[4]};
    y = shape_make(5, dims);
  } else if (pool->channels_last) {
    y = shape_channels_last(&y);
  }
  return window_infer_output(context, 0, infer_type(context, 0), &y);
}

static norma_status qlinear_pool_prepare(prepare_context *context) {
  qlinear_pool_state *pool = context->state;
  const shape x = qlinear_pool_channels_first(pool, prepare_shape(context, 0));
  char message[WINDOW_MESSAGE_SIZE];
  size_t offset;
  if (pool->kind == QLINEAR_GLOBAL_AVERAGE) { /* one window over a line */
    const int64_t inputs = dims_product(x.dims, 2, x.rank);
    pool->window =
        (window){.axes = 1, .input = {inputs}, .kernel = {inputs}, .output = {1}, .stride = {1}, .dilation = {1}};
  } else if (!window_resolve(&pool->attributes, x.rank - 2, x.dims + 2, NULL, &pool->window, message)) {
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "%s", message);
  }
  pool->type = prepare_type(context, 0);
  pool->planes = x.dims[0] * (pool->channels_last ? 1 : x.dims[1]);
  pool->inner = pool->channels_last ? x.dims[1] : 1;
  pool->inputs = window_inputs(&pool->window);
  pool->outputs = window_outputs(&pool->window);
  double taps = 1; /* of a huge kernel they might not be countable */
  for (int d = 0; d < pool->window.axes; d++) taps *= (double)pool->window.kernel[d];
  pool->rows = work_grain(taps * (double)pool->inner);
  if (pool->rows > pool->outputs && pool->outputs > 0) pool->rows = pool->outputs;
  pool->grain = work_grain(taps * (double)pool->inner * (double)pool->rows);
  context->flops = taps * (double)pool->outputs * (double)pool->inner * (double)pool->planes;
  context->kernel_name = pool->is_blocked ? "blocks" : pool->channels_last ? "channels last" : "planes";
  if (!scratch_append(&context->worker_scratch_bytes, (size_t)pool->inner, sizeof(int64_t), &offset))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "there are too many channels");
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

typedef struct qlinear_pool_job {
  const run_context *context;
  const qlinear_pool_state *pool;
  byte_scale from, to;
} qlinear_pool_job;

/* The taps of a window that have inputs, in a plane. */
typedef struct qlinear_pool_spot {
  int64_t first[WINDOW_MAX_AXES], count[WINDOW_MAX_AXES]; /* the first input; taps */
  bool is_empty;
  double taps;    /* with inputs */
  double counted; /* by what a mean is divided */
} qlinear_pool_spot;

static qlinear_pool_spot qlinear_pool_locate(const qlinear_pool_state *pool, const int64_t *position) {
  const window *w = &pool->window;
  qlinear_pool_spot spot = {.taps = 1, .counted = 1};
  for (int d = 0; d < w->axes; d++) {
    int64_t begin, end;
    window_clip(w, d, position[d], &begin, &end);
    spot.count[d] = end - begin;
    spot.first[d] = position[d] * w->stride[d] - w->pad_begin[d] + begin * w->dilation[d];
    spot.is_empty |= spot.count[d] == 0;
    spot.taps *= (double)spot.count[d];
    spot.counted *= (double)(pool->count_pad ? window_padded_taps(w, d, position[d]) : spot.count[d]);
  }
  return spot;
}

static int32_t qlinear_pool_number(norma_element_type type, uint8_t byte) {
  return type == NORMA_INT8 ? (int8_t)byte : byte;
}

typedef uint8_t pool_lanes __attribute__((vector_size(16)));
typedef uint16_t pool_lane_sums __attribute__((vector_size(16)));

/* results[c] += sum of count pixels of 16 channels, `step` bytes apart. Bytes of both types are summed as unsigned
 * ones, in pieces whose sums fit 16 bits. */
static void qlinear_pool_add_pixels(const uint8_t *x, int64_t count, int64_t step, norma_element_type type,
                                    int64_t results[16]) {
  const pool_lanes zero = {0}, flip = zero + (uint8_t)(type == NORMA_INT8 ? 128 : 0);
  const int64_t excess = type == NORMA_INT8 ? 128 : 0;
  while (count > 0) {
    const int64_t some = count < 256 ? count : 256;
    pool_lane_sums low = {0}, high = {0};
    for (int64_t i = 0; i < some; i++, x += step) {
      pool_lanes bytes;
      memcpy(&bytes, x, sizeof bytes);
      bytes ^= flip;
      low += (pool_lane_sums)(__builtin_shufflevector(bytes, zero, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7,
                                                      23));
      high += (pool_lane_sums)(__builtin_shufflevector(bytes, zero, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14,
                                                       30, 15, 31));
    }
    for (int c = 0; c < 8; c++) {
      results[c] += low[c] - some * excess;
      results[8 + c] += high[c] - some * excess;
    }
    count -= some;
  }
}

/* The sums over the taps of a window of 16 channels, a row of taps at a time. */
static void qlinear_pool_sum_blocks(const qlinear_pool_job *job, const qlinear_pool_spot *spot, const uint8_t *x,
                                    int64_t results[16]) {
  const window *w = &job->pool->window;
  const int last = w->axes - 1;
  int64_t tap[WINDOW_MAX_AXES] = {0};
  do {
    int64_t offset = 0;
    for (int d = 0; d < w->axes; d++) offset = offset * w->input[d] + spot->first[d] + tap[d] * w->dilation[d];
    qlinear_pool_add_pixels(x + 16 * offset, spot->count[last], 16 * w->dilation[last], job->pool->type, results);
    if (run_cancelled(job->context)) return;
  } while (last > 0 && window_advance(last, spot->count, tap));
}

/* results[c] = sum or maximum over the taps of a window of channel c. */
static void qlinear_pool_gather(const qlinear_pool_job *job, const qlinear_pool_spot *spot, const uint8_t *x,
                                int64_t *results) {
  const qlinear_pool_state *pool = job->pool;
  const window *w = &pool->window;
  const int64_t inner = pool->inner;
  int64_t tap[WINDOW_MAX_AXES] = {0}, visited = 0;
  for (int64_t c = 0; c < inner; c++) results[c] = pool->kind == NHWC_MAX ? quantized_lowest(pool->type) : 0;
  if (spot->is_empty) return;
  if (inner == 16 && pool->kind != NHWC_MAX) {
    qlinear_pool_sum_blocks(job, spot, x, results);
    return;
  }
  do {
    int64_t offset = 0;
    for (int d = 0; d < w->axes; d++) offset = offset * w->input[d] + spot->first[d] + tap[d] * w->dilation[d];
    const uint8_t *from = x + offset * inner;
    for (int64_t c = 0; c < inner; c++) {
      const int64_t number = qlinear_pool_number(pool->type, from[c]);
      if (pool->kind != NHWC_MAX)
        results[c] += number;
      else if (number > results[c])
        results[c] = number;
    }
    if (work_interrupted(job->context, visited++)) return;
  } while (window_advance(w->axes, spot->count, tap));
}

#define QLINEAR_POOL_PIECE 64

static void qlinear_pool_store(const qlinear_pool_job *job, const qlinear_pool_spot *spot, const int64_t *results,
                               uint8_t *y) {
  const qlinear_pool_state *pool = job->pool;
  if (pool->kind == NHWC_MAX) {
    for (int64_t c = 0; c < pool->inner; c++) y[c] = (uint8_t)results[c];
    return;
  }
  const double offset = spot->taps * job->from.zero;
  for (int64_t first = 0; first < pool->inner; first += QLINEAR_POOL_PIECE) {
    const int64_t left = pool->inner - first, count = left < QLINEAR_POOL_PIECE ? left : QLINEAR_POOL_PIECE;
    float means[QLINEAR_POOL_PIECE];
    for (int64_t c = 0; c < count; c++)
      means[c] = (float)(((double)results[first + c] - offset) / spot->counted) * job->from.scale;
    job->context->kernels->quantize_f32(y + first, means, (size_t)count, job->to.scale, job->to.zero, pool->type);
  }
}

/* Pieces of `rows` positions of planes. */
static void qlinear_pool_pieces(void *argument, int64_t begin, int64_t end, int worker) {
  const qlinear_pool_job *job = argument;
  const qlinear_pool_state *pool = job->pool;
  const window *w = &pool->window;
  const int64_t pieces = divide_up(pool->outputs, pool->rows);
  const uint8_t *x = run_input(job->context, 0)->data;
  uint8_t *y = run_output(job->context, 0)->data;
  int64_t *results = run_worker_scratch(job->context, worker);
  for (int64_t i = begin; i < end; i++) {
    const int64_t plane = i / pieces, first = i % pieces * pool->rows;
    const int64_t last = first + pool->rows < pool->outputs ? first + pool->rows : pool->outputs;
    int64_t position[WINDOW_MAX_AXES], rest = first;
    for (int d = w->axes - 1; d >= 0; d--) {
      position[d] = rest % w->output[d];
      rest /= w->output[d];
    }
    for (int64_t output = first; output < last && !run_cancelled(job->context); output++) {
      const qlinear_pool_spot spot = qlinear_pool_locate(pool, position);
      qlinear_pool_gather(job, &spot, x + plane * pool->inputs * pool->inner, results);
      qlinear_pool_store(job, &spot, results, y + (plane * pool->outputs + output) * pool->inner);
      window_advance(w->axes, w->output, position);
    }
  }
}

static norma_status qlinear_pool_compute(run_context *context) {
  const qlinear_pool_state *pool = context->state;
  qlinear_pool_job job = {.context = context, .pool = pool};
  if (pool->outputs == 0 || pool->inner == 0) return NORMA_OK;
  if (pool->kind != NHWC_MAX) {
    job.from = byte_scale_of(context, pool->type, POOL_X_SCALE, POOL_X_ZERO);
    job.to = byte_scale_of(context, pool->type, POOL_Y_SCALE, POOL_Y_ZERO);
  }
  return run_parallel(context, pool->planes * divide_up(pool->outputs, pool->rows), pool->grain, qlinear_pool_pieces,
                      &job);
}

/* ------------------------------------------------------------------------------------------------ in channel blocks */

static bool qlinear_pool_block(const node *node, block_form *form) {
  const qlinear_pool_state *pool = node->state;
  form->inner = node->op_type;
  form->uses[0] = BLOCK_FOLLOW;
  return !pool->channels_last && node_follows_block(node);
}

/* ------------------------------------------------------------------------------------------------------ descriptors */

static const operator_attribute qlinear_average_pool_attributes[] = {
    {"auto_pad", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"ceil_mode", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"channels_last", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"count_include_pad", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"kernel_shape", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, true},
    {"pads", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"strides", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {0},
};

static const operator_attribute qlinear_global_average_pool_attributes[] = {
    {"channels_last", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {0},
};

static const operator_attribute nhwc_max_pool_attributes[] = {
    {"auto_pad", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"ceil_mode", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"dilations", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"kernel_shape", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, true},
    {"pads", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"strides", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {0},
};

#define QLINEAR_POOL                                                                                                   \
  .versions = {1}, .min_outputs = 1, .max_outputs = 1, .state_size = sizeof(qlinear_pool_state),                       \
  .read = qlinear_pool_read, .infer = qlinear_pool_infer, .prepare = qlinear_pool_prepare,                             \
  .compute = qlinear_pool_compute
#define QLINEAR_POOL_FACTS                                                                                             \
  .domain = "com.microsoft",                                                                                           \
  .facts = {.dimension = fact_dimension_batch, .block = qlinear_pool_block, .block_types = TYPES_8BIT}
#define QLINEAR_POOL_TYPES                                                                                             \
  {                                                                                                                    \
    {TYPES_8BIT, INPUT(0) | INPUT(POOL_X_ZERO) | INPUT(POOL_Y_ZERO), OUTPUT(0)}, {                                     \
      TYPE_BIT(NORMA_FLOAT), INPUT(POOL_X_SCALE) | INPUT(POOL_Y_SCALE), 0                                              \
    }                                                                                                                  \
  }

#define QLINEAR_AVERAGE_POOL                                                                                           \
  QLINEAR_POOL, .name = "QLinearAveragePool", .min_inputs = 4, .max_inputs = 5, .absent_inputs = INPUT(POOL_X_ZERO),   \
                .types = QLINEAR_POOL_TYPES, .attributes = qlinear_average_pool_attributes
#define QLINEAR_GLOBAL_AVERAGE_POOL                                                                                    \
  QLINEAR_POOL, .name = "QLinearGlobalAveragePool", .min_inputs = 5, .max_inputs = 5, .types = QLINEAR_POOL_TYPES,     \
                .attributes = qlinear_global_average_pool_attributes

const operator_descriptor operators_qlinear_pool[] = {
    {QLINEAR_AVERAGE_POOL, QLINEAR_POOL_FACTS},
    {QLINEAR_GLOBAL_AVERAGE_POOL, QLINEAR_POOL_FACTS},
    {QLINEAR_AVERAGE_POOL, .domain = OPERATOR_INNER_DOMAIN},
    {QLINEAR_GLOBAL_AVERAGE_POOL, .domain = OPERATOR_INNER_DOMAIN},
    {QLINEAR_POOL, .domain = "com.microsoft", .name = "NhwcMaxPool", .min_inputs = 1, .max_inputs = 1,
     .types = {{TYPES_8BIT, INPUT(0), OUTPUT(0)}}, .facts = {.dimension = fact_dimension_batch},
     .attributes = nhwc_max_pool_attributes},
    {0},
};
