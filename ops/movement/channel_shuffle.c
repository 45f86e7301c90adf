/*
 * ChannelShuffle (norma): the channels of X [N, C, H, W], seen as [group, C / group], are transposed: channel
 * i * group + g of Y is channel g * (C / group) + i of X. Float.
 *
 * With the attribute `block`, X and Y are channel blocks of that size (ops/blocked.h). `channels` is C.
 */
#include "ops/blocked.h"
#include "ops/work.h"

typedef struct channel_shuffle_state {
  int64_t group, channels, block; /* block 1: plain */

  /* The plan's. */
  int64_t samples, pixels, blocks;
} channel_shuffle_state;

static norma_status channel_shuffle_read(const node *node, void *state, norma_error *error) {
  channel_shuffle_state *shuffle = state;
  shuffle->group = attribute_int(node, "group", 1);
  shuffle->channels = attribute_int(node, "channels", 0);
  shuffle->block = attribute_int(node, "block", 1);
  if (shuffle->group > 0 && shuffle->block > 0 && shuffle->channels % shuffle->group == 0) return NORMA_OK;
  return error_at_node(error, NORMA_ERROR_INTERNAL, node, "%lld channels have no %lld groups",
                       (long long)shuffle->channels, (long long)shuffle->group);
}

static norma_status channel_shuffle_infer(infer_context *context) {
  const channel_shuffle_state *shuffle = context->state;
  shape x = *infer_shape(context, 0);
  if (x.rank != RANK_UNKNOWN && x.dims[1] != DIM_UNKNOWN && x.dims[1] != divide_up(shuffle->channels, shuffle->block)) {
    return infer_fail(context, "its input has not %lld channels", (long long)shuffle->channels);
  }
  return infer_same(context);
}

static norma_status channel_shuffle_prepare(prepare_context *context) {
  channel_shuffle_state *shuffle = context->state;
  const shape *x = prepare_shape(context, 0);
  shuffle->samples = x->dims[0];
  shuffle->blocks = x->dims[1];
  shuffle->pixels = x->dims[2] * x->dims[3];
  context->kernel_name = shuffle->block > 1 ? "lanes" : "planes";
  return NORMA_OK;
}

typedef struct channel_shuffle_work {
  const channel_shuffle_state *state;
  const float *x;
  float *y;
} channel_shuffle_work;

/* One block of one sample: lane by lane, a plain channel at once. */
static void channel_shuffle_body(void *argument, int64_t begin, int64_t end, int worker) {
  const channel_shuffle_work *work = argument;
  const channel_shuffle_state *shuffle = work->state;
  const int64_t b = shuffle->block, size = b * shuffle->pixels, part = shuffle->channels / shuffle->group;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    const int64_t sample = i / shuffle->blocks, first = i % shuffle->blocks * b;
    float *y = work->y + i * size;
    for (int64_t lane = 0; lane < b && first + lane < shuffle->channels; lane++) {
      const int64_t to = first + lane, from = to % shuffle->group * part + to / shuffle->group;
      const float *x = work->x + (sample * shuffle->blocks + from / b) * size + from % b;
      if (b == 1) {
        memcpy(y, x, (size_t)shuffle->pixels * sizeof(float));
      } else {
        for (int64_t p = 0; p < shuffle->pixels; p++) y[p * b + lane] = x[p * b];
      }
    }
  }
}

static norma_status channel_shuffle_compute(run_context *context) {
  const channel_shuffle_state *shuffle = context->state;
  norma_tensor *y = run_output(context, 0);
  channel_shuffle_work work = {shuffle, run_input(context, 0)->data, y->data};
  if (y->size_bytes == 0) return NORMA_OK;
  return run_parallel(context, shuffle->samples * shuffle->blocks,
                      work_grain(WORK_ELEMENT * (double)(shuffle->pixels * shuffle->block)), channel_shuffle_body,
                      &work);
}

static const operator_attribute channel_shuffle_attributes[] = {
    {"block", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"channels", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"group", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {0},
};

/* ------------------------------------------------------------------------------------------------------------ facts */

static bool channel_shuffle_block(const node *node, block_form *form) {
  if (!value_blocked_copy(node->graph, node->inputs[0]) || !value_is_blockable(node->outputs[0])) return false;
  form->inner = node->op_type;
  form->uses[0] = BLOCK_FOLLOW;
  block_set_int(form, "block", form->block);
  return true;
}

const operator_descriptor operators_channel_shuffle[] = {
    {
        .domain = OPERATOR_INNER_DOMAIN,
        .name = "ChannelShuffle",
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPE_BIT(NORMA_FLOAT), INPUT(0), OUTPUT(0)}},
        .attributes = channel_shuffle_attributes,
        .state_size = sizeof(channel_shuffle_state),
        .read = channel_shuffle_read,
        .infer = channel_shuffle_infer,
        .prepare = channel_shuffle_prepare,
        .facts = {.block = channel_shuffle_block, .block_types = TYPE_BIT(NORMA_FLOAT)},
        .compute = channel_shuffle_compute,
    },
    {0},
};
