/*
 * Concat (norma): along channels, of channel blocks (ops/blocked.h) whose parts may end within blocks: the lanes of
 * what follows are moved up. `channels` lists the channels of the inputs.
 */
#include "ops/blocked.h"
#include "ops/work.h"

typedef struct blocked_concat_state {
  int64_t block;
  const int64_t *channels; /* of each input */

  /* The plan's. */
  int64_t samples, blocks, pixels; /* of the output */
} blocked_concat_state;

static norma_status blocked_concat_read(const node *node, void *state, norma_error *error) {
  blocked_concat_state *concat = state;
  size_t count;
  concat->block = attribute_int(node, "block", 0);
  concat->channels = attribute_ints(node, "channels", &count);
  if (concat->block > 0 && count == (size_t)node->input_count) return NORMA_OK;
  return error_at_node(error, NORMA_ERROR_INTERNAL, node, "channels does not list all inputs");
}

static norma_status blocked_concat_infer(infer_context *context) {
  const blocked_concat_state *concat = context->state;
  shape y = shape_unknown();
  int64_t total = 0;
  for (int i = 0; i < context->input_count; i++) {
    shape x = *infer_shape(context, i);
    if (x.rank == RANK_UNKNOWN) x = shape_of_rank(5);
    if (x.rank == 5) x.dims[1] = DIM_UNKNOWN;
    if (x.rank != 5 || !shape_merge(&y, &x)) return infer_fail(context, "input %d does not fit those before", i);
    total += concat->channels[i];
  }
  y.dims[1] = divide_up(total, concat->block);
  infer_output(context, 0, infer_type(context, 0), &y);
  return NORMA_OK;
}

static norma_status blocked_concat_prepare(prepare_context *context) {
  blocked_concat_state *concat = context->state;
  const shape *x = prepare_shape(context, 0);
  int64_t total = 0;
  for (int i = 0; i < context->input_count; i++) total += concat->channels[i];
  concat->samples = x->dims[0];
  concat->blocks = divide_up(total, concat->block);
  concat->pixels = x->dims[2] * x->dims[3];
  context->kernel_name = "blocks";
  return NORMA_OK;
}

static void copy_lanes(const run_context *context, norma_element_type type, char *y, const char *x, size_t lanes) {
  const blocked_concat_state *concat = context->state;
  const size_t bytes = element_type_bytes(type), pixel = (size_t)concat->block * bytes;
  if (type == NORMA_FLOAT) {
    context->kernels->blocked_copy_lanes_f32((float *)y, (const float *)x, lanes, (size_t)concat->pixels);
    return;
  }
  for (size_t p = 0; p < (size_t)concat->pixels; p++) memcpy(y + p * pixel, x + p * pixel, lanes * bytes);
}

/* One block of one sample: of each input that has channels in it, the lanes from one or two blocks. */
static void concat_block(const run_context *context, int64_t sample, int64_t block) {
  const blocked_concat_state *concat = context->state;
  const norma_tensor *output = run_output(context, 0);
  const size_t bytes = element_type_bytes(output->type);
  const int64_t b = concat->block, size = concat->pixels * b, begin = block * b;
  char *y = (char *)output->data + (size_t)((sample * concat->blocks + block) * size) * bytes;
  int64_t first = 0; /* channel of the output where the input begins */
  for (int i = 0; i < context->input_count && first < begin + b; first += concat->channels[i++]) {
    const int64_t blocks = divide_up(concat->channels[i], b);
    const char *x = (const char *)run_input(context, i)->data + (size_t)(sample * blocks * size) * bytes;
    const int64_t end = first + concat->channels[i] < begin + b ? first + concat->channels[i] : begin + b;
    for (int64_t c = first > begin ? first : begin; c < end;) {
      const int64_t from = c - first, rest = b - from % b, lanes = rest < end - c ? rest : end - c;
      const char *source = x + (size_t)(from / b * size + from % b) * bytes;
      if (lanes == b)
        memcpy(y, source, (size_t)size * bytes);
      else
        copy_lanes(context, output->type, y + (size_t)(c - begin) * bytes, source, (size_t)lanes);
      c += lanes;
    }
  }
}

static void blocked_concat_body(void *argument, int64_t begin, int64_t end, int worker) {
  const run_context *context = argument;
  const blocked_concat_state *concat = context->state;
  (void)worker;
  for (int64_t i = begin; i < end; i++) concat_block(context, i / concat->blocks, i % concat->blocks);
}

static norma_status blocked_concat_compute(run_context *context) {
  const blocked_concat_state *concat = context->state;
  if (run_output(context, 0)->size_bytes == 0) return NORMA_OK;
  return run_parallel(context, concat->samples * concat->blocks,
                      work_grain(WORK_ELEMENT * (double)(concat->pixels * concat->block)), blocked_concat_body,
                      context);
}

static const operator_attribute blocked_concat_attributes[] = {
    {"axis", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false}, /* ai.onnx's */
    {"block", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"channels", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, true},
    {0},
};

const operator_descriptor operators_blocked_concat[] = {
    {
        .domain = OPERATOR_INNER_DOMAIN,
        .name = "Concat",
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = OPERATOR_VARIADIC,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_IN_BLOCKS, INPUT(0), OUTPUT(0)}},
        .attributes = blocked_concat_attributes,
        .state_size = sizeof(blocked_concat_state),
        .read = blocked_concat_read,
        .infer = blocked_concat_infer,
        .prepare = blocked_concat_prepare,
        .compute = blocked_concat_compute,
    },
    {0},
};
