/*
 * GatherBlockQuantized 1 (com.microsoft): Gather from a table of few bits, dequantized on the way.
 *
 *   y[..., i, ...] = (data[..., indices[i], ...] - zero) * scale
 *
 * Positions along quantize_axis share a scale and a zero point in blocks of block_size; both have the shape of the data
 * but for that axis. Data are
 *
 *   int4, uint4     zero point 0 where none is given
 *   uint8           codes of `bits` (2, 4 or 8) bits, packed along the last axis, the first in the lowest bits; zero
 *                   points packed likewise; without them 2^(bits - 1). gather_axis is the first axis, quantize_axis the
 *                   last
 *   float8, float4  no zero point; block_size 0 takes the whole axis for a block; scales may have a dimension of 1 on
 *                   other axes, which is broadcast
 *
 * Unlike Gather, an index out of range gives zeros.
 */
#include "ops/axes.h"
#include "ops/half.h"
#include "ops/quantized/quantization.h"
#include "ops/work.h"

#include <inttypes.h>

#define GATHERED_FLOATS (TYPES_SCALED | TYPE_BIT(NORMA_FLOAT4E2M1))

enum { GATHERED_DATA, GATHERED_INDICES, GATHERED_SCALES, GATHERED_ZEROS };

typedef struct gather_quantized_state {
  int64_t gather_axis, quantize_axis, block_size, bits;
} gather_quantized_state;

static norma_status gather_quantized_read(const node *node, void *opaque, norma_error *error) {
  gather_quantized_state *state = opaque;
  state->gather_axis = attribute_int(node, "gather_axis", 0);
  state->quantize_axis = attribute_int(node, "quantize_axis", 1);
  state->block_size = attribute_int(node, "block_size", 128);
  state->bits = attribute_int(node, "bits", 4);
  const int64_t block = state->block_size;
  if (block != 0 && (block < 16 || (block & (block - 1)) != 0))
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node,
                         "block_size is %" PRId64 ", which is no power of 2 of at least 16", block);
  if (state->bits != 2 && state->bits != 4 && state->bits != 8)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "bits are %" PRId64 ", not 2, 4 or 8", state->bits);
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------------------- layout */

/* How codes, scales and zero points lie, codes being what `data` holds, one number each. */
typedef struct gathered_layout {
  int rank, gather_axis, quantize_axis;
  norma_element_type code;      /* of codes and zero points, as they are packed */
  int64_t dims[NORMA_MAX_RANK]; /* of the codes; may be unknown */
  int64_t block;                /* positions along quantize_axis that share a scale */
  int64_t blocks;               /* along quantize_axis */
  int64_t codes;                /* in an element of the data */
  bool is_float;
} gathered_layout;

static int64_t gathered_ceil(int64_t x, int64_t unit) {
  return x == DIM_UNKNOWN ? DIM_UNKNOWN : divide_up(x, unit);
}

static const char *gathered_unpack(gathered_layout *layout, int64_t bits) {
  int64_t *last = &layout->dims[layout->rank - 1];
  if (layout->gather_axis != 0 || layout->quantize_axis != layout->rank - 1 || layout->rank < 2)
    return "data of uint8 are gathered along the first axis and quantized along the last";
  layout->codes = 8 / bits;
  layout->code = bits == 2 ? NORMA_UINT2 : bits == 4 ? NORMA_UINT4 : NORMA_UINT8;
  if (*last != DIM_UNKNOWN && *last > INT64_MAX / 4) return "the data are too large";
  if (*last != DIM_UNKNOWN) *last *= layout->codes;
  return NULL;
}

/* The layout of data whose rank is known. Returns NULL, or what is wrong. */
static const char *gathered_lay_out(const gather_quantized_state *state, norma_element_type type, const shape *data,
                                    gathered_layout *layout) {
  *layout = (gathered_layout){.rank = data->rank, .code = type, .codes = 1};
  memcpy(layout->dims, data->dims, sizeof data->dims);
  layout->is_float = (TYPE_BIT(type) & GATHERED_FLOATS) != 0;
  if (!axis_normalize(state->gather_axis, data->rank, &layout->gather_axis)) return "gather_axis is out of range";
  if (!axis_normalize(state->quantize_axis, data->rank, &layout->quantize_axis)) return "quantize_axis is out of range";
  if (!layout->is_float && state->block_size == 0) return "block_size is 0";
  if ((TYPE_BIT(type) & TYPES_4BIT) && state->bits != 4) return "data of 4 bits have another number of bits";
  const char *wrong = type == NORMA_UINT8 ? gathered_unpack(layout, state->bits) : NULL;
  const int64_t count = layout->dims[layout->quantize_axis];
  layout->block = state->block_size > 0 ? state->block_size : count > 0 ? count : 1;
  layout->blocks = gathered_ceil(count, layout->block);
  return wrong;
}

/* Scales and zero points fit the data, as far as shapes are known. */
static norma_status gathered_check_shapes(infer_context *context, const gathered_layout *layout) {
  const shape *scales = infer_shape(context, GATHERED_SCALES), *zeros = infer_shape(context, GATHERED_ZEROS);
  const bool has_zeros = infer_has_input(context, GATHERED_ZEROS);
  if (has_zeros && layout->is_float) return infer_fail(context, "data of a float type have no zero points");
  for (int input = GATHERED_SCALES; input <= (has_zeros ? GATHERED_ZEROS : GATHERED_SCALES); input++) {
    const shape *found = input == GATHERED_SCALES ? scales : zeros;
    if (found->rank == RANK_UNKNOWN) continue;
    if (found->rank != layout->rank)
      return infer_fail(context, "input %d has rank %d, the data %d", input, found->rank, layout->rank);
    for (int i = 0; i < layout->rank; i++) {
      int64_t wanted = i == layout->quantize_axis ? layout->blocks : layout->dims[i];
      if (i == layout->quantize_axis && input == GATHERED_ZEROS) wanted = gathered_ceil(wanted, layout->codes);
      const bool repeats = layout->is_float && i != layout->quantize_axis && found->dims[i] == 1;
      if (wanted != DIM_UNKNOWN && found->dims[i] != DIM_UNKNOWN && wanted != found->dims[i] && !repeats)
        return infer_fail(context, "input %d has %" PRId64 " entries in dimension %d, not %" PRId64, input,
                          found->dims[i], i, wanted);
    }
  }
  return NORMA_OK;
}

static norma_status gather_quantized_infer(infer_context *context) {
  const shape *data = infer_shape(context, GATHERED_DATA), *indices = infer_shape(context, GATHERED_INDICES);
  shape result = shape_unknown();
  gathered_layout layout;
  TRY(infer_same_type(context, GATHERED_ZEROS, GATHERED_DATA, "zero_points"));
  if (data->rank != RANK_UNKNOWN) {
    const char *wrong = gathered_lay_out(context->state, infer_type(context, GATHERED_DATA), data, &layout);
    if (wrong) return infer_fail(context, "%s", wrong);
    TRY(gathered_check_shapes(context, &layout));
  }
  if (data->rank != RANK_UNKNOWN && indices->rank != RANK_UNKNOWN) {
    if (data->rank - 1 + indices->rank > NORMA_MAX_RANK) return infer_fail(context, "the output's rank is too large");
    result.rank = 0;
    for (int i = 0; i < layout.gather_axis; i++) result.dims[result.rank++] = layout.dims[i];
    for (int i = 0; i < indices->rank; i++) result.dims[result.rank++] = indices->dims[i];
    for (int i = layout.gather_axis + 1; i < data->rank; i++) result.dims[result.rank++] = layout.dims[i];
  }
  infer_output(context, 0, infer_type(context, GATHERED_SCALES), &result);
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

typedef struct gathered_job {
  gathered_layout layout;
  const struct kernel_table *kernels;
  const norma_tensor *data, *indices, *scales, *zeros; /* zeros may be NULL */
  norma_tensor *y;
  int64_t index_count, inner;            /* inner: codes that an index chooses */
  int64_t scale_strides[NORMA_MAX_RANK]; /* 0 where scales are broadcast; along quantize_axis from block to block */
  float zero;                            /* where there are no zero points */
} gathered_job;

/* The scale of code `first`, and how many codes of its row, `most` at most, have that scale or the scales behind it. */
static quantization_run gathered_run_at(const gathered_job *job, int64_t first, int64_t most) {
  const gathered_layout *layout = &job->layout;
  const int last = layout->rank - 1;
  const int64_t left = layout->dims[last] - first % layout->dims[last];
  quantization_run run = {.count = left < most ? left : most, .steps = job->scale_strides[last] == 1};
  for (int i = last; i >= 0; i--) {
    const int64_t place = first % layout->dims[i];
    first /= layout->dims[i];
    if (i != layout->quantize_axis) {
      run.scale += place * job->scale_strides[i];
      continue;
    }
    run.scale += place / layout->block * job->scale_strides[i];
    if (i != last) continue;
    run.steps = false;
    const int64_t block_left = layout->block - place % layout->block;
    if (block_left < run.count) run.count = block_left;
  }
  return run;
}

static float gathered_zero(const gathered_job *job, int64_t scale) {
  if (!job->zeros) return job->zero;
  const int64_t blocks = job->layout.blocks, codes = job->layout.codes; /* each row of codes fills whole bytes */
  const int64_t place = codes > 1 ? scale / blocks * divide_up(blocks, codes) * codes + scale % blocks : scale;
  return (float)element_get_double(job->layout.code, job->zeros->data, place);
}

static void gathered_convert(const gathered_job *job, int64_t first, const quantization_run *run, float *y) {
  float scale = 0, zero = 0;
  for (int64_t i = 0; i < run->count; i++) {
    const int64_t place = run->scale + (run->steps ? i : 0);
    if (run->steps || i == 0) {
      scale = (float)element_get_double(job->scales->type, job->scales->data, place);
      zero = gathered_zero(job, place);
    }
    y[i] = ((float)element_get_double(job->layout.code, job->data->data, first + i) - zero) * scale;
  }
}

/* What one index chooses, at elements `at` and on of y. */
static void gathered_copy(const gathered_job *job, int64_t first, int64_t at) {
  const size_t bytes = element_type_bytes(job->y->type);
  float piece[HALF_PIECE];
  for (int64_t done = 0; done < job->inner;) {
    const int64_t left = job->inner - done;
    const quantization_run run = gathered_run_at(job, first + done, left < HALF_PIECE ? left : HALF_PIECE);
    gathered_convert(job, first + done, &run, piece);
    float_to(job->kernels, job->y->type, (char *)job->y->data + (size_t)(at + done) * bytes, piece, run.count);
    done += run.count;
  }
}

static void gathered_body(void *argument, int64_t begin, int64_t end, int worker) {
  const gathered_job *job = argument;
  const size_t bytes = element_type_bytes(job->y->type);
  const int64_t size = job->layout.dims[job->layout.gather_axis];
  (void)worker;
  for (int64_t unit = begin; unit < end; unit++) {
    const int64_t outer = unit / job->index_count;
    const int64_t index = element_get_int64(job->indices->type, job->indices->data, unit % job->index_count);
    if (index < -size || index >= size) {
      memset((char *)job->y->data + (size_t)(unit * job->inner) * bytes, 0, (size_t)job->inner * bytes);
    } else {
      const int64_t chosen = outer * size + index + (index < 0 ? size : 0);
      gathered_copy(job, chosen * job->inner, unit * job->inner);
    }
  }
}

static void gathered_stride_scales(gathered_job *job) {
  int64_t stride = 1;
  for (int i = job->layout.rank - 1; i >= 0; i--) {
    job->scale_strides[i] = i != job->layout.quantize_axis && job->scales->dims[i] == 1 ? 0 : stride;
    stride *= job->scales->dims[i];
  }
}

static norma_status gather_quantized_compute(run_context *context) {
  gathered_job job = {.kernels = context->kernels,
                      .data = run_input(context, GATHERED_DATA),
                      .indices = run_input(context, GATHERED_INDICES),
                      .scales = run_input(context, GATHERED_SCALES),
                      .zeros = run_input(context, GATHERED_ZEROS),
                      .y = run_output(context, 0)};
  if (!job.y || norma_tensor_count(job.y) == 0) return NORMA_OK;
  const gather_quantized_state *state = context->state;
  const shape data = shape_of_tensor(job.data);
  const char *wrong = gathered_lay_out(state, job.data->type, &data, &job.layout);
  if (wrong) return run_fail(context, NORMA_ERROR_RUN, "%s", wrong);
  if (job.data->type == NORMA_UINT8) job.zero = (float)(1 << (state->bits - 1));
  gathered_stride_scales(&job);
  const int axis = job.layout.gather_axis;
  job.index_count = norma_tensor_count(job.indices);
  job.inner = dims_product(job.layout.dims, axis + 1, job.layout.rank);
  const int64_t outer = dims_product(job.layout.dims, 0, axis);
  return run_parallel(context, outer * job.index_count, work_grain((double)job.inner * 4), gathered_body, &job);
}

static const operator_attribute gather_quantized_attributes[] = {
    {"gather_axis", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"quantize_axis", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"block_size", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"bits", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_gather_block_quantized[] = {
    {.domain = "com.microsoft",
     .name = "GatherBlockQuantized",
     .versions = {1},
     .min_inputs = 3,
     .max_inputs = 4,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_4BIT | TYPE_BIT(NORMA_UINT8) | GATHERED_FLOATS, INPUT(GATHERED_DATA) | INPUT(GATHERED_ZEROS), 0},
               {TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT64), INPUT(GATHERED_INDICES), 0},
               {TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_FLOAT16) | TYPE_BIT(NORMA_BFLOAT16), INPUT(GATHERED_SCALES),
                OUTPUT(0)}},
     .attributes = gather_quantized_attributes,
     .state_size = sizeof(gather_quantized_state),
     .read = gather_quantized_read,
     .infer = gather_quantized_infer,
     .compute = gather_quantized_compute},
    {0},
};
