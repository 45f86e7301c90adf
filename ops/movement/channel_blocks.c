/*
 * BlockChannels, UnblockChannels (norma)
 *
 * Between X [N, C, H, W] or [N, C, W] (`rank` says which) and channel blocks (ops/blocked.h). Padding lanes become
 * zeros.
 */
#include "ops/blocked.h"
#include "ops/work.h"

typedef struct channel_blocks_state {
  int64_t block, channels;
  int rank;

  /* The plan's. */
  int64_t blocks, pixels;
} channel_blocks_state;

static const char blocking[] = "BlockChannels", unblocking[] = "UnblockChannels";

const char *const channel_block_operators[] = {OPERATOR_INNER_DOMAIN ":BlockChannels",
                                               OPERATOR_INNER_DOMAIN ":UnblockChannels", "Expand", NULL};

node *graph_insert_reorder(graph *graph, node *position, const char *name, bool to_blocks, int64_t block,
                           const shape *plain) {
  node *made =
      graph_insert_node(graph, position, name, to_blocks ? blocking : unblocking, OPERATOR_INNER_DOMAIN, 1, 1, 0);
  if (!made || !node_set_attribute_int(made, "block", block) ||
      !node_set_attribute_int(made, "channels", plain->dims[1]) || !node_set_attribute_int(made, "rank", plain->rank))
    return NULL;
  made->opset = 1;
  return made;
}

#define OPSET_OF_EXPAND 13 /* the newest of its definitions */

node *graph_insert_expand(graph *graph, node *position, const char *name) {
  node *made = graph_insert_node(graph, position, name, "Expand", "", 2, 1, 0);
  if (made) made->opset = OPSET_OF_EXPAND;
  return made;
}

bool is_unblocking(const node *node) {
  return strcmp(node->op_type, unblocking) == 0 && strcmp(node->domain, OPERATOR_INNER_DOMAIN) == 0 &&
         node_has_output(node, 0);
}

static norma_status channel_blocks_read(const node *node, void *state, norma_error *error) {
  channel_blocks_state *blocks = state;
  const int64_t rank = attribute_int(node, "rank", 4);
  blocks->block = attribute_int(node, "block", 0);
  blocks->channels = attribute_int(node, "channels", 0);
  blocks->rank = (int)rank;
  if (rank == 3 || rank == 4) return NORMA_OK;
  return error_at_node(error, NORMA_ERROR_INTERNAL, node, "no planes have rank %d", (int)rank);
}

static norma_status block_channels_infer(infer_context *context) {
  const channel_blocks_state *state = context->state;
  shape x = *infer_shape(context, 0);
  if (x.rank == RANK_UNKNOWN) x = shape_of_rank(state->rank);
  if (x.rank != state->rank) return infer_fail(context, "its input has rank %d, expected %d", x.rank, state->rank);
  x.dims[1] = state->channels;
  shape y = blocked_shape(&x, state->block);
  infer_output(context, 0, infer_type(context, 0), &y);
  return NORMA_OK;
}

static norma_status unblock_channels_infer(infer_context *context) {
  const channel_blocks_state *state = context->state;
  shape x;
  TRY(infer_blocked_input(context, &x));
  shape y = plain_shape(&x, state->channels, state->rank);
  infer_output(context, 0, infer_type(context, 0), &y);
  return NORMA_OK;
}

static norma_status channel_blocks_prepare(prepare_context *context) {
  channel_blocks_state *state = context->state;
  const shape *x = prepare_shape(context, 0), planes = plane_shape(x);
  state->blocks = divide_up(state->channels, state->block);
  state->pixels = planes.dims[2] * planes.dims[3];
  context->kernel_name = "reorder";
  return NORMA_OK;
}

typedef struct channel_blocks_work {
  const channel_blocks_state *state;
  const struct kernel_table *kernels;
  const char *x;
  char *y;
  norma_element_type type;
  bool to_blocks;
} channel_blocks_work;

static void channel_blocks_body(void *argument, int64_t begin, int64_t end, int worker) {
  const channel_blocks_work *work = argument;
  const channel_blocks_state *state = work->state;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    int64_t sample = i / state->blocks, first = i % state->blocks * state->block;
    int64_t channels = state->channels - first < state->block ? state->channels - first : state->block;
    const size_t bytes = element_type_bytes(work->type), pixels = (size_t)state->pixels;
    size_t plain = (size_t)((sample * state->channels + first) * state->pixels) * bytes;
    size_t blocked = (size_t)(i * state->block * state->pixels) * bytes;
    if (work->to_blocks) {
      work->kernels->block_channels(work->y + blocked, work->x + plain, (size_t)channels, pixels, work->type);
    } else {
      work->kernels->unblock_channels(work->y + plain, work->x + blocked, (size_t)channels, pixels, work->type);
    }
  }
}

static norma_status channel_blocks_run(run_context *context, bool to_blocks) {
  const channel_blocks_state *state = context->state;
  const norma_tensor *x = run_input(context, 0);
  norma_tensor *y = run_output(context, 0);
  channel_blocks_work work = {state, context->kernels, x->data, y->data, x->type, to_blocks};
  if (norma_tensor_count(x) == 0) return NORMA_OK;
  return run_parallel(context, x->dims[0] * state->blocks,
                      work_grain(WORK_ELEMENT * (double)(state->pixels * state->block)), channel_blocks_body, &work);
}

static norma_status block_channels_compute(run_context *context) {
  return channel_blocks_run(context, true);
}

static norma_status unblock_channels_compute(run_context *context) {
  return channel_blocks_run(context, false);
}

static const operator_attribute channel_blocks_attributes[] = {
    {"block", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"channels", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"rank", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_channel_blocks[] = {
    {
        .domain = OPERATOR_INNER_DOMAIN,
        .name = blocking,
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_IN_BLOCKS, INPUT(0), OUTPUT(0)}},
        .attributes = channel_blocks_attributes,
        .state_size = sizeof(channel_blocks_state),
        .read = channel_blocks_read,
        .infer = block_channels_infer,
        .prepare = channel_blocks_prepare,
        .compute = block_channels_compute,
    },
    {
        .domain = OPERATOR_INNER_DOMAIN,
        .name = unblocking,
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_IN_BLOCKS, INPUT(0), OUTPUT(0)}},
        .attributes = channel_blocks_attributes,
        .state_size = sizeof(channel_blocks_state),
        .read = channel_blocks_read,
        .infer = unblock_channels_infer,
        .prepare = channel_blocks_prepare,
        .compute = unblock_channels_compute,
    },
    {0},
};
