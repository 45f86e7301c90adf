/*
 * Pad: adds elements before and behind each dimension, or takes some away where a count is negative.
 *
 * 1: attribute paddings; 2: pads; 11: pads and the constant are inputs; 13: more types; 18: input axes; 19: mode wrap;
 * 21, 23, 24, 25: more types. Modes: constant, reflect (the edge itself is not repeated), edge, wrap. What is taken
 * away is gone before the other modes look at the rest.
 *
 * Each output coordinate has a source coordinate, or none (constant): these maps are made per dimension.
 */
#include "engine/graph/query.h"
#include "ops/blocked.h"
#include "ops/axes.h"
#include "ops/movement/movement.h"
#include "ops/work.h"

#define PAD_OPSET_OF_LISTS 13 /* where pads and the constant are inputs */

enum pad_mode { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP };

typedef struct pad_state {
  enum pad_mode mode;
  const int64_t *pads; /* NULL: input 1 */
  size_t count;
  float constant;
  size_t reserved; /* bytes of scratch */
} pad_state;

static norma_status pad_read(const node *node, void *state, norma_error *error) {
  static const char *const modes[] = {"constant", "reflect", "edge", "wrap"};
  pad_state *pad = state;
  TRY(read_inputs_since(node, 1, 11, error));
  TRY(read_inputs_since(node, 3, 18, error));
  const char *mode = attribute_string(node, "mode", "constant");
  int found = -1;
  for (int i = 0; i < 4; i++) {
    if (strcmp(modes[i], mode) == 0) found = i;
  }
  if (found < 0) return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "mode is \"%s\"", mode);
  pad->mode = (enum pad_mode)found;
  pad->constant = attribute_float(node, "value", 0);
  if (node->version < 11) pad->pads = attribute_ints(node, node->version < 2 ? "paddings" : "pads", &pad->count);
  return NORMA_OK;
}

/* Elements added before and behind each dimension. */
typedef struct pad_counts {
  int64_t before[NORMA_MAX_RANK], behind[NORMA_MAX_RANK];
} pad_counts;

/* NULL, or what is wrong. `pads` is the input of that name where there is no attribute, `axes` may be NULL. */
static const char *pad_resolve(const pad_state *state, const norma_tensor *pads, const norma_tensor *axes, int rank,
                               pad_counts *counts) {
  integers chosen = {.count = rank};
  for (int i = 0; i < rank; i++) {
    chosen.values[i] = i;
    counts->before[i] = counts->behind[i] = 0;
  }
  if (axes && !integers_from_tensor(axes, &chosen)) return "axes is no list of integers";
  if (!axes_normalize(&chosen, rank)) return "an axis is outside the input's rank, or comes twice";
  const int64_t given = state->pads ? (int64_t)state->count : norma_tensor_count(pads);
  if (given != 2 * chosen.count) return "pads does not have two entries for each axis";
  for (int i = 0; i < chosen.count; i++) {
    counts->before[chosen.values[i]] = state->pads ? state->pads[i] : tensor_get_int64(pads, i);
    counts->behind[chosen.values[i]] =
        state->pads ? state->pads[chosen.count + i] : tensor_get_int64(pads, chosen.count + i);
  }
  return NULL;
}

static norma_status pad_infer(infer_context *context) {
  const pad_state *state = context->state;
  const shape *input = infer_shape(context, 0);
  const norma_tensor *pads = infer_value(context, 1), *axes = infer_value(context, 3);
  shape result = shape_unknown();
  if (!state->pads && !infer_has_input(context, 1)) return infer_fail(context, "pads is missing");
  if (input->rank != RANK_UNKNOWN) {
    result = shape_of_rank(input->rank);
    if ((state->pads || pads) && (axes || !infer_has_input(context, 3))) {
      pad_counts counts;
      const char *problem = pad_resolve(state, pads, axes, input->rank, &counts);
      if (problem) return infer_fail(context, "%s", problem);
      for (int i = 0; i < input->rank; i++) {
        int64_t size = input->dims[i];
        if (size == DIM_UNKNOWN) continue;
        if (__builtin_add_overflow(size, counts.before[i], &size) ||
            __builtin_add_overflow(size, counts.behind[i], &size) || size < 0) {
          return infer_fail(context, "pads of %lld and %lld do not fit dimension %d of size %lld",
                            (long long)counts.before[i], (long long)counts.behind[i], i, (long long)input->dims[i]);
        }
        result.dims[i] = size;
      }
    }
  }
  infer_output(context, 0, infer_type(context, 0), &result);
  return NORMA_OK;
}

static size_t pad_map_bytes(int rank, const int64_t *dims) {
  size_t bytes = 0, part;
  for (int i = 0; i < rank; i++) {
    if (dims[i] < 0 || !size_multiply((size_t)dims[i], sizeof(int64_t), &part) || !size_add(bytes, part, &bytes))
      return 0;
  }
  return bytes;
}

static norma_status pad_prepare(prepare_context *context) {
  pad_state *state = context->state;
  if (!context->outputs[0] || !shape_is_known(&context->outputs[0]->shape)) return NORMA_OK;
  if (shape_count(&context->outputs[0]->shape) == 0) return NORMA_OK;
  state->reserved = pad_map_bytes(context->outputs[0]->shape.rank, context->outputs[0]->shape.dims);
  context->scratch_bytes = state->reserved;
  return NORMA_OK;
}

/* Fills map[0 .. length - 1] with source coordinates, -1 for none. false: there is nothing to take from. */
static bool pad_fill_map(enum pad_mode mode, int64_t size, int64_t before, int64_t behind, int64_t length,
                         int64_t *map) {
  const int64_t first = before < 0 ? -before : 0, left = size - first - (behind < 0 ? -behind : 0);
  const int64_t added = before > 0 ? before : 0;
  for (int64_t i = 0; i < length; i++) {
    int64_t at = i - added; /* in what is left of the source */
    if (mode == PAD_CONSTANT) {
      const int64_t source = i - before;
      map[i] = source >= 0 && source < size ? source : -1;
      continue;
    }
    if (left < 1) return false;
    if (at < 0 || at >= left) {
      const int64_t period = mode == PAD_REFLECT ? 2 * (left - 1) : left;
      if (mode == PAD_EDGE)
        at = at < 0 ? 0 : left - 1;
      else if (left == 1)
        at = 0;
      else
        at = (at % period + period) % period;
      if (at >= left) at = period - at;
    }
    map[i] = first + at;
  }
  return true;
}

typedef struct pad_job {
  const norma_tensor *target;
  int rank;     /* of the target, without dimensions at its end that stay as they are */
  int64_t unit; /* elements of those dimensions: they are moved together */
  const int64_t *maps[NORMA_MAX_RANK];
  int64_t strides[NORMA_MAX_RANK]; /* of the source */
  const char *source;
  size_t bytes;
  int64_t run_begin, run_end; /* part of a row where adjacent elements have adjacent sources */
  _Alignas(16) char item[16];
} pad_job;

/* `count` elements of the padding; the few of 4 bytes that most rows have are written in place. */
static inline void pad_fill(const pad_job *job, char *to, int64_t count) {
  if (job->bytes != 4 || count > 16) {
    strided_fill(to, job->item, job->bytes, count);
    return;
  }
  uint32_t item;
  memcpy(&item, job->item, sizeof item);
  for (int64_t i = 0; i < count; i++) memcpy(to + 4 * i, &item, sizeof item);
}

/* Units begin .. end - 1 of a row, wherever they come from. */
static void pad_units(const pad_job *job, char *row, const char *source, int64_t begin, int64_t end) {
  const int64_t *map = job->maps[job->rank - 1];
  const size_t bytes = (size_t)job->unit * job->bytes;
  for (int64_t i = begin; i < end; i++) {
    if (map[i] < 0)
      pad_fill(job, row + (size_t)i * bytes, job->unit);
    else if (bytes == 4)
      memcpy(row + 4 * i, source + 4 * map[i], 4);
    else
      memcpy(row + (size_t)i * bytes, source + (size_t)map[i] * bytes, bytes);
  }
}

/* The units at both ends of a row that come from nowhere are filled at once. */
static void pad_row(const pad_job *job, char *row, const char *source) {
  const int64_t *map = job->maps[job->rank - 1], length = job->target->dims[job->rank - 1];
  const size_t bytes = (size_t)job->unit * job->bytes;
  int64_t begin = 0, end = length;
  while (begin < job->run_begin && map[begin] < 0) begin++;
  while (end > job->run_end && map[end - 1] < 0) end--;
  pad_fill(job, row, begin * job->unit);
  pad_units(job, row, source, begin, job->run_begin);
  if (job->run_end > job->run_begin) {
    memcpy(row + (size_t)job->run_begin * bytes, source + (size_t)map[job->run_begin] * bytes,
           (size_t)(job->run_end - job->run_begin) * bytes);
  }
  pad_units(job, row, source, job->run_end, end);
  pad_fill(job, row + (size_t)end * bytes, (length - end) * job->unit);
}

static void pad_body(void *argument, int64_t begin, int64_t end, int worker) {
  const pad_job *job = argument;
  const int last = job->rank - 1;
  const int64_t length = job->target->dims[last] * job->unit;
  int64_t position[NORMA_MAX_RANK], rest = begin;
  (void)worker;
  for (int i = last - 1; i >= 0; i--) {
    position[i] = rest % job->target->dims[i];
    rest /= job->target->dims[i];
  }
  for (int64_t row = begin; row < end; row++) {
    char *target = (char *)job->target->data + (size_t)row * (size_t)length * job->bytes;
    int64_t offset = 0;
    bool constant = false;
    for (int i = last - 1; i >= 0; i--) {
      const int64_t at = job->maps[i][position[i]];
      constant |= at < 0;
      offset += at * job->strides[i];
    }
    for (int i = last - 1; i >= 0 && ++position[i] == job->target->dims[i]; i--) position[i] = 0;
    if (constant) {
      strided_fill(target, job->item, job->bytes, length);
    } else {
      pad_row(job, target, job->source + offset * (int64_t)job->bytes);
    }
  }
}

static norma_status pad_make_maps(run_context *context, const norma_tensor *target, pad_job *job) {
  const pad_state *state = context->state;
  const norma_tensor *input = run_input(context, 0);
  pad_counts counts;
  const char *problem = pad_resolve(state, run_input(context, 1), run_input(context, 3), input->rank, &counts);
  if (problem) return run_fail(context, NORMA_ERROR_RUN, "%s", problem);
  const size_t bytes = pad_map_bytes(target->rank, target->dims);
  void *block = context->scratch;
  if (bytes > state->reserved) TRY(run_allocate_temporary(context, bytes, &block));
  int64_t *map = block;
  for (int i = 0; i < target->rank; i++) {
    int64_t size;
    if (__builtin_add_overflow(input->dims[i], counts.before[i], &size) ||
        __builtin_add_overflow(size, counts.behind[i], &size) || size != target->dims[i]) {
      return run_fail(context, NORMA_ERROR_RUN, "pads do not fit the output");
    }
    job->maps[i] = map;
    if (!pad_fill_map(state->mode, input->dims[i], counts.before[i], counts.behind[i], target->dims[i], map)) {
      return run_fail(context, NORMA_ERROR_RUN, "dimension %d has no elements to pad with", i);
    }
    map += target->dims[i];
  }
  job->rank = target->rank;
  job->unit = 1;
  while (job->rank > 1 && counts.before[job->rank - 1] == 0 && counts.behind[job->rank - 1] == 0) {
    job->unit *= target->dims[--job->rank];
  }
  const int last = job->rank - 1;
  const int64_t added = counts.before[last] > 0 ? counts.before[last] : 0;
  const int64_t behind = counts.behind[last] > 0 ? counts.behind[last] : 0;
  job->run_begin = added < target->dims[last] ? added : target->dims[last];
  job->run_end = target->dims[last] - behind;
  if (job->run_end < job->run_begin || job->maps[last][job->run_begin] < 0) job->run_end = job->run_begin;
  for (int64_t i = job->run_begin + 1; i < job->run_end; i++) { /* a large negative pad leaves less */
    if (job->maps[last][i] != job->maps[last][i - 1] + 1) job->run_end = i;
  }
  return NORMA_OK;
}

static norma_status pad_compute(run_context *context) {
  const pad_state *state = context->state;
  const norma_tensor *input = run_input(context, 0), *constant = run_input(context, 2);
  const void *source;
  norma_tensor target;
  if (!context->outputs[0]) return NORMA_OK;
  if (input->rank == 0) return movement_same(context);
  TRY(movement_source(context, input, &source));
  TRY(movement_target(context, 0, &target));
  if (norma_tensor_count(&target) == 0) return movement_finish(context, 0, &target);
  if (target.rank != input->rank) return run_fail(context, NORMA_ERROR_RUN, "pads do not fit the output");
  pad_job job = {.target = &target, .source = source, .bytes = movement_bytes(input->type)};
  if (constant && norma_tensor_count(constant) == 1) {
    movement_get(constant->type, constant->data, 0, job.item);
  } else if (constant && norma_tensor_count(constant) > 1) {
    return run_fail(context, NORMA_ERROR_RUN, "constant_value must be a scalar");
  } else if (TYPE_BIT(input->type) & TYPES_FLOAT) {
    element_set_double(input->type, job.item, 0, (double)state->constant);
  }
  movement_strides(input->rank, input->dims, job.strides);
  TRY(pad_make_maps(context, &target, &job));
  const int64_t length = target.dims[job.rank - 1] * job.unit, rows = dims_product(target.dims, 0, job.rank - 1);
  TRY(run_parallel(context, rows, length >= 16384 ? 1 : 16384 / length, pad_body, &job));
  return movement_finish(context, 0, &target);
}

static const operator_attribute pad_attributes[] = {
    {"mode", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"paddings", ATTRIBUTE_INTS, 1, 1, true},
    {"pads", ATTRIBUTE_INTS, 2, 10, true},
    {"value", ATTRIBUTE_FLOAT, 1, 10, false},
    {0},
};

/* ------------------------------------------------------------------------------------------------------------ facts */

static bool pads_nothing(const node *node) {
  const pad_state *state = node->state;
  const norma_tensor *pads = node_constant_input(node, 1);
  if (!state->pads && !pads) return false;
  const int64_t count = state->pads ? (int64_t)state->count : norma_tensor_count(pads);
  for (int64_t i = 0; i < count; i++) {
    if ((state->pads ? state->pads[i] : tensor_get_int64(pads, i)) != 0) return false;
  }
  return true;
}

/* In blocks: what is added before and behind each of five dimensions; nothing to the channels. */
static bool pad_block(const node *node, block_form *form) {
  block_list pads, axes = {.values = {0, 1, 2, 3}};
  if (!node_follows_block(node) || !node_read_list(node, node->version < 2 ? "paddings" : "pads", 1, &pads))
    return false;
  axes.count = node->inputs[0]->info.shape.rank;
  if (node_has_input(node, 2) && !node_constant_input(node, 2)) return false;
  if (!node_lacks_list(node, "axes", 3) && !node_read_list(node, "axes", 3, &axes)) return false;
  if (pads.count != 2 * axes.count || axes.count > 4) return false;
  block_list *list = block_add_list(form, 1, "pads");
  list->count = 10;
  for (int i = 0; i < axes.count; i++) {
    const int axis = block_axis(node->inputs[0], axes.values[i]);
    if (axis < 0) return false;
    list->values[axis] = pads.values[i];
    list->values[5 + axis] = pads.values[axes.count + i];
  }
  form->uses[0] = BLOCK_FOLLOW;
  form->opset = PAD_OPSET_OF_LISTS;
  form->kept_inputs = 3; /* all axes are listed */
  form->drops_attributes = true;
  form->kept_attribute = "mode";
  if (node->version < 11) {
    form->number_input = 2;
    form->number = attribute_float(node, "value", 0);
  }
  return list->values[1] == 0 && list->values[6] == 0;
}

const operator_descriptor operators_pad[] = {
    {.name = "Pad",
     .domain = "",
     .versions = {1, 2, 11, 13, 18, 19, 21, 23, 24, 25},
     .min_inputs = 1,
     .max_inputs = 4,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_ALL, INPUT(0) | INPUT(2), OUTPUT(0)},
               {TYPE_BIT(NORMA_INT64), INPUT(1), 0},
               {TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT64), INPUT(3), 0}},
     .attributes = pad_attributes,
     .state_size = sizeof(pad_state),
     .read = pad_read,
     .infer = pad_infer,
     .prepare = pad_prepare,
     .facts = {.is_identity = pads_nothing, .block = pad_block, .block_types = TYPES_IN_BLOCKS},
     .compute = pad_compute},
    {0},
};
