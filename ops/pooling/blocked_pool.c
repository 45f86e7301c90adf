/*
 * MaxPool, AveragePool, GlobalAveragePool (norma): those of ai.onnx on channel blocks (ops/blocked.h), two spatial
 * axes. X and Y in blocks; the attributes are those of ai.onnx's newest versions. Half precision is computed in float.
 * MaxPool takes bytes too, of windows of at most BYTE_ROWS_MOST_TAPS taps.
 */
#include "ops/blocked.h"
#include "ops/byte_blocks.h"
#include "ops/byte_rows.h"
#include "ops/half.h"
#include "ops/window.h"
#include "ops/work.h"

enum blocked_pool_kind { BLOCKED_POOL_MAX, BLOCKED_POOL_AVERAGE, BLOCKED_POOL_GLOBAL };

typedef struct blocked_pool_state {
  enum blocked_pool_kind kind;
  window_attributes attributes;
  bool count_pad;

  /* The plan's. */
  norma_element_type type;
  struct window_2d plane;
  size_t pad_end[2];
  struct blocked_slices slices;
  int64_t grain;
  int64_t planes, block, inputs, outputs; /* planes of pixels of b lanes */
  byte_blocks bytes;                      /* of bytes */
} blocked_pool_state;

static norma_status blocked_max_pool_read(const node *node, void *state, norma_error *error) {
  return window_read(node, &((blocked_pool_state *)state)->attributes, error);
}

static norma_status blocked_average_pool_read(const node *node, void *state, norma_error *error) {
  blocked_pool_state *pool = state;
  pool->kind = BLOCKED_POOL_AVERAGE;
  pool->count_pad = attribute_int(node, "count_include_pad", 0) != 0;
  return window_read(node, &pool->attributes, error);
}

static norma_status global_pool_read(const node *node, void *state, norma_error *error) {
  (void)node;
  (void)error;
  ((blocked_pool_state *)state)->kind = BLOCKED_POOL_GLOBAL;
  return NORMA_OK;
}

static norma_status blocked_pool_infer(infer_context *context) {
  const blocked_pool_state *pool = context->state;
  shape x;
  TRY(infer_blocked_input(context, &x));
  shape y = x;
  if (pool->kind == BLOCKED_POOL_GLOBAL) {
    y.dims[2] = y.dims[3] = 1;
  } else {
    window window;
    char message[WINDOW_MESSAGE_SIZE];
    if (!window_resolve(&pool->attributes, 2, x.dims + 2, NULL, &window, message)) {
      return infer_fail(context, "%s", message);
    }
    memcpy(y.dims + 2, window.output, 2 * sizeof *y.dims);
  }
  return window_infer_output(context, 0, infer_type(context, 0), &y);
}

static bool is_of_bytes(const blocked_pool_state *pool) {
  return (TYPE_BIT(pool->type) & TYPES_BLOCKED_BYTES) != 0;
}

/* The rows that a slice of outputs sees are copied; kernels read up to 64 bytes behind them. */
static norma_status prepare_bytes(prepare_context *context, blocked_pool_state *pool, const window *window) {
  size_t at;
  if (pool->planes == 0 || pool->outputs == 0) return NORMA_OK;
  if (byte_blocks_init(&pool->bytes, window) &&
      scratch_append(&context->worker_scratch_bytes, byte_blocks_bytes(&pool->bytes, (size_t)pool->slices.rows) + 64, 1,
                     &at))
    return NORMA_OK;
  return prepare_fail(context, NORMA_ERROR_BUDGET, "the window is too large");
}

static norma_status blocked_pool_prepare(prepare_context *context) {
  blocked_pool_state *pool = context->state;
  const shape *x = prepare_shape(context, 0);
  pool->type = prepare_type(context, 0);
  pool->planes = x->dims[0] * x->dims[1];
  pool->block = x->dims[4];
  pool->inputs = x->dims[2] * x->dims[3];
  pool->outputs = 1;
  pool->slices = (struct blocked_slices){.blocks = x->dims[1], .count = 1, .rows = 1};
  context->kernel_name = "blocks";
  double taps = (double)pool->inputs;
  if (pool->kind != BLOCKED_POOL_GLOBAL) {
    window window;
    char message[WINDOW_MESSAGE_SIZE];
    if (!window_resolve(&pool->attributes, 2, x->dims + 2, NULL, &window, message)) {
      return prepare_fail(context, NORMA_ERROR_INTERNAL, "%s", message);
    }
    pool->plane = window_plane(&window);
    for (int d = 0; d < 2; d++) pool->pad_end[d] = (size_t)window.pad_end[d];
    pool->outputs = window_outputs(&window);
    taps = (double)window_taps(&window);
    pool->slices = blocked_slices_of(&window, x->dims[0], x->dims[1], context->workers);
    if (is_of_bytes(pool)) TRY(prepare_bytes(context, pool, &window));
  }
  context->flops = taps * (double)pool->outputs * (double)(pool->planes * pool->block);
  if (is_half(pool->type) && pool->kind == BLOCKED_POOL_GLOBAL) {
    context->worker_scratch_bytes = (size_t)((pool->inputs + 1) * pool->block) * sizeof(float);
  } else if (is_half(pool->type)) {
    context->worker_scratch_bytes = blocked_slice_scratch(&pool->slices, &pool->plane, pool->block);
  }
  pool->grain = work_grain(4 * (double)pool->block * taps * (double)pool->outputs / (double)pool->slices.count);
  return NORMA_OK;
}

typedef struct blocked_pool_work {
  const blocked_pool_state *state;
  const run_context *context;
  const char *x;
  char *y;
} blocked_pool_work;

/* Rows of the outputs of a plane, and the inputs that they see. */
static void blocked_pool_slice(const blocked_pool_work *work, const struct window_slice *slice, const float *x,
                               float *y) {
  const blocked_pool_state *pool = work->state;
  const struct kernel_table *kernels = work->context->kernels;
  const size_t pad_end[2] = {slice->pad_end, pool->pad_end[1]};
  switch (pool->kind) {
  case BLOCKED_POOL_MAX:
    kernels->blocked_max_pool_f32(&slice->plane, x, y);
    return;
  case BLOCKED_POOL_AVERAGE:
    kernels->blocked_average_pool_f32(&slice->plane, pool->count_pad, pad_end, x, y);
    return;
  case BLOCKED_POOL_GLOBAL: /* the mean of nothing is NaN, as in ops/pooling/global_pool.c */
    kernels->blocked_sum_f32(y, x, (size_t)pool->inputs);
    for (int64_t lane = 0; lane < pool->block; lane++) y[lane] /= (float)pool->inputs;
    return;
  }
}

static struct window_slice blocked_pool_cut(const blocked_pool_state *pool, size_t row) {
  if (pool->kind != BLOCKED_POOL_GLOBAL) {
    struct window_slice slice = window_slice(&pool->plane, pool->pad_end[0], row, (size_t)pool->slices.rows);
    blocked_slice_trim(&slice.plane);
    return slice;
  }
  return (struct window_slice){.plane = {.input = {(size_t)pool->inputs, 1}, .output = {1, 1}}};
}

/* The maxima of rows first .. first + count - 1 of a plane of outputs. */
static void blocked_pool_bytes(const blocked_pool_work *work, int64_t plane, size_t first, size_t count,
                               uint8_t *scratch) {
  const blocked_pool_state *pool = work->state;
  const byte_blocks *bytes = &pool->bytes;
  const size_t taps = pool->plane.kernel[0] * pool->plane.kernel[1], row = pool->plane.output[1] * BYTE_BLOCK;
  const uint8_t lowest = pool->type == NORMA_INT8 ? 128 : 0, *x[BYTE_ROWS_MOST_TAPS];
  uint8_t *y = (uint8_t *)work->y + (size_t)(plane * pool->outputs) * BYTE_BLOCK + first * row;
  size_t offsets[BYTE_ROWS_MOST_TAPS];
  byte_blocks_offsets(bytes, offsets);
  byte_blocks_copy(bytes, (const uint8_t *)work->x + (size_t)(plane * pool->inputs) * BYTE_BLOCK, lowest, 0, first,
                   count, scratch);
  for (size_t r = 0; r < count; r++) {
    for (size_t t = 0; t < taps; t++) x[t] = scratch + r * pool->plane.stride[0] * bytes->row_bytes + offsets[t];
    work->context->kernels->maximum_8bit(y + r * row, row, x, taps, pool->type);
  }
}

static void blocked_pool_body(void *argument, int64_t begin, int64_t end, int worker) {
  const blocked_pool_work *work = argument;
  const blocked_pool_state *pool = work->state;
  const size_t bytes = element_type_bytes(pool->type), block = (size_t)pool->block;
  float *scratch = run_worker_scratch(work->context, worker);
  for (int64_t i = begin; i < end; i++) {
    size_t row;
    const int64_t plane = blocked_slice_plane(&pool->slices, i, &row);
    const struct window_slice slice = blocked_pool_cut(pool, row);
    if (is_of_bytes(pool)) {
      blocked_pool_bytes(work, plane, row, slice.plane.output[0], (uint8_t *)scratch);
      continue;
    }
    const void *x = work->x + ((size_t)(plane * pool->inputs) + slice.x_offset) * block * bytes;
    void *y = work->y + ((size_t)(plane * pool->outputs) + slice.y_offset) * block * bytes;
    if (!is_half(pool->type)) {
      blocked_pool_slice(work, &slice, x, y);
      continue;
    }
    const size_t inputs = slice.plane.input[0] * slice.plane.input[1] * block;
    const size_t outputs = slice.plane.output[0] * slice.plane.output[1] * block;
    half_to_float(work->context->kernels, pool->type, scratch, x, (int64_t)inputs);
    blocked_pool_slice(work, &slice, scratch, scratch + inputs);
    half_from_float(work->context->kernels, pool->type, y, scratch + inputs, (int64_t)outputs);
  }
}

static norma_status blocked_pool_compute(run_context *context) {
  const blocked_pool_state *pool = context->state;
  norma_tensor *y = run_output(context, 0);
  if (y->size_bytes == 0) return NORMA_OK;
  blocked_pool_work work = {pool, context, run_input(context, 0)->data, y->data};
  return run_parallel(context, pool->planes * pool->slices.count, pool->grain, blocked_pool_body, &work);
}

static const operator_attribute blocked_max_pool_attributes[] = {
    {"auto_pad", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"ceil_mode", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"dilations", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"kernel_shape", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, true},
    {"pads", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"storage_order", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false}, /* of indices, which blocks do not have */
    {"strides", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {0},
};

static const operator_attribute blocked_average_pool_attributes[] = {
    {"auto_pad", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"ceil_mode", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"count_include_pad", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"dilations", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"kernel_shape", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, true},
    {"pads", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"strides", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_blocked_pool[] = {
    {
        .domain = OPERATOR_INNER_DOMAIN,
        .name = "MaxPool",
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_IN_BLOCKS, INPUT(0), OUTPUT(0)}},
        .attributes = blocked_max_pool_attributes,
        .state_size = sizeof(blocked_pool_state),
        .read = blocked_max_pool_read,
        .infer = blocked_pool_infer,
        .prepare = blocked_pool_prepare,
        .compute = blocked_pool_compute,
    },
    {
        .domain = OPERATOR_INNER_DOMAIN,
        .name = "AveragePool",
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_BLOCKED, INPUT(0), OUTPUT(0)}},
        .attributes = blocked_average_pool_attributes,
        .state_size = sizeof(blocked_pool_state),
        .read = blocked_average_pool_read,
        .infer = blocked_pool_infer,
        .prepare = blocked_pool_prepare,
        .compute = blocked_pool_compute,
    },
    {
        .domain = OPERATOR_INNER_DOMAIN,
        .name = "GlobalAveragePool",
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_BLOCKED, INPUT(0), OUTPUT(0)}},
        .state_size = sizeof(blocked_pool_state),
        .read = global_pool_read,
        .infer = blocked_pool_infer,
        .prepare = blocked_pool_prepare,
        .compute = blocked_pool_compute,
    },
    {0},
};
