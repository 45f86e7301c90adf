/*
 * TopK: the k largest (or smallest) elements along an axis, in order, and where they lie. 1: attribute k; 10: k is an
 * input; 11: largest, sorted; 24: bfloat16. Of equal elements the one with the lower index comes first; NaN counts as
 * larger than any number. What sorted = 0 leaves open is sorted as well.
 *
 * Elements are turned into unsigned keys of the same order; a heap of k keeps the best, its worst at the top.
 */
#include "ops/movement/movement.h"
#include "ops/work.h"

#include <math.h>

typedef struct top_k_state {
  int64_t axis, k; /* k: of version 1, else -1 */
  bool smallest;
  int64_t reserved; /* entries of the worker's scratch */
} top_k_state;

typedef struct entry {
  uint64_t key;
  int64_t index;
} entry;

static norma_status top_k_read(const node *node, void *opaque, norma_error *error) {
  top_k_state *state = opaque;
  TRY(read_inputs_since(node, 1, 10, error));
  state->axis = attribute_int(node, "axis", -1);
  state->k = node->version < 10 ? attribute_int(node, "k", 0) : -1;
  state->smallest = attribute_int(node, "largest", 1) == 0;
  if (node->version >= 10 && (node->input_count < 2 || !node->inputs[1])) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "input 1 (K) is missing");
  }
  if (node->version < 10 && state->k < 0) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "k is %lld", (long long)state->k);
  }
  return NORMA_OK;
}

static norma_status top_k_infer(infer_context *context) {
  const top_k_state *state = context->state;
  const norma_tensor *given = infer_value(context, 1);
  shape result = *infer_shape(context, 0);
  int64_t k = state->k;
  if (given) {
    if (norma_tensor_count(given) != 1) return infer_fail(context, "K must be one number");
    k = tensor_get_int64(given, 0);
    if (k < 0) return infer_fail(context, "K is %lld", (long long)k);
  }
  if (result.rank != RANK_UNKNOWN) {
    int axis;
    if (!axis_normalize(state->axis, result.rank, &axis)) {
      return infer_fail(context, "axis %lld is outside a tensor of rank %d", (long long)state->axis, result.rank);
    }
    if (k >= 0 && result.dims[axis] != DIM_UNKNOWN && k > result.dims[axis]) {
      return infer_fail(context, "%lld elements are asked for of %lld", (long long)k, (long long)result.dims[axis]);
    }
    result.dims[axis] = k >= 0 ? k : DIM_UNKNOWN;
  }
  infer_output(context, 0, infer_type(context, 0), &result);
  infer_output(context, 1, NORMA_INT64, &result);
  return NORMA_OK;
}

static const shape *known_output(const prepare_context *context) {
  for (int i = 0; i < context->output_count; i++) {
    if (context->outputs[i] && shape_is_known(&context->outputs[i]->shape)) return &context->outputs[i]->shape;
  }
  return NULL;
}

static norma_status top_k_prepare(prepare_context *context) {
  top_k_state *state = context->state;
  const shape *output = known_output(context);
  int axis;
  size_t bytes;
  if (!output || !axis_normalize(state->axis, output->rank, &axis) ||
      !size_multiply((size_t)output->dims[axis], sizeof(entry), &bytes)) {
    return NORMA_OK;
  }
  state->reserved = output->dims[axis];
  context->worker_scratch_bytes = bytes;
  return NORMA_OK;
}

/* Keys rise with elements. */
static uint64_t sort_key_of(norma_element_type type, const void *data, int64_t index) {
  const uint64_t sign = UINT64_C(1) << 63;
  if (TYPE_BIT(type) & TYPES_FLOAT) {
    const double x =
        (type == NORMA_FLOAT ? (double)((const float *)data)[index] : element_get_double(type, data, index)) +
        0.0; /* -0 becomes 0 */
    uint64_t bits;
    if (isnan(x)) return UINT64_MAX;
    memcpy(&bits, &x, sizeof bits);
    return bits & sign ? ~bits : bits | sign;
  }
  const uint64_t bits = (uint64_t)element_get_int64(type, data, index);
  return type == NORMA_UINT64 ? bits : bits ^ sign;
}

static bool comes_before(const entry *a, const entry *b) {
  return a->key != b->key ? a->key > b->key : a->index < b->index;
}

/* Restores the heap below `at`: what comes last is at the top. */
static void sift_down(entry *heap, int64_t count, int64_t at) {
  const entry moved = heap[at];
  for (;;) {
    int64_t child = 2 * at + 1;
    if (child >= count) break;
    if (child + 1 < count && comes_before(&heap[child], &heap[child + 1])) child++;
    if (!comes_before(&moved, &heap[child])) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = moved;
}

typedef struct top_k_job {
  const top_k_state *state;
  run_context *context;
  const norma_tensor *input;
  norma_tensor *values, *indices; /* NULL where not wanted */
  int64_t size, inner, k;
} top_k_job;

/* The first element from `i` on that may come before `worst`: a larger one (or smaller one, where these are wanted), or
 * NaN. Asked to stop it does. */
static int64_t next_candidate(const top_k_job *job, int64_t first, int64_t i, float worst) {
  const float *x = (const float *)job->input->data + first;
  const bool smallest = job->state->smallest;
  for (; i < job->size && !work_interrupted(job->context, i); i++) {
    const float next = x[i * job->inner];
    if (!(smallest ? next >= worst : next <= worst)) break;
  }
  return i;
}

static void top_k_lane(const top_k_job *job, int64_t lane, entry *heap) {
  const int64_t outer = lane / job->inner, column = lane % job->inner;
  const int64_t first = outer * job->size * job->inner + column, k = job->k;
  const uint64_t flip = job->state->smallest ? UINT64_MAX : 0;
  const bool is_float = job->input->type == NORMA_FLOAT;
  for (int64_t i = 0; i < job->size; i++) {
    if (work_interrupted(job->context, i)) return;
    if (is_float && i >= k) {
      i = next_candidate(job, first, i, ((const float *)job->input->data)[first + heap[0].index * job->inner]);
      if (i == job->size) break;
    }
    const entry next = {sort_key_of(job->input->type, job->input->data, first + i * job->inner) ^ flip, i};
    if (i < k) {
      heap[i] = next;
      if (i == k - 1) {
        for (int64_t p = k / 2 - 1; p >= 0 && !work_interrupted(job->context, p); p--) sift_down(heap, k, p);
      }
    } else if (comes_before(&next, &heap[0])) {
      heap[0] = next;
      sift_down(heap, k, 0);
    }
  }
  for (int64_t left = k; left > 0 && !work_interrupted(job->context, left); left--) { /* the worst goes to the end */
    const int64_t at = (outer * k + left - 1) * job->inner + column, index = heap[0].index;
    const size_t bytes = element_type_bytes(job->input->type);
    if (job->indices) ((int64_t *)job->indices->data)[at] = index;
    if (job->values) {
      memcpy((char *)job->values->data + (size_t)at * bytes,
             (const char *)job->input->data + (size_t)(first + index * job->inner) * bytes, bytes);
    }
    heap[0] = heap[left - 1];
    sift_down(heap, left - 1 > 0 ? left - 1 : 1, 0);
  }
}

static void top_k_body(void *argument, int64_t begin, int64_t end, int worker) {
  const top_k_job *job = argument;
  entry *heap = run_worker_scratch(job->context, worker);
  for (int64_t lane = begin; lane < end; lane++) top_k_lane(job, lane, heap);
}

static norma_status top_k_compute(run_context *context) {
  const top_k_state *state = context->state;
  const norma_tensor *input = run_input(context, 0);
  norma_tensor *values = run_output(context, 0), *indices = run_output(context, 1);
  int axis;
  if (!values && !indices) return NORMA_OK;
  if (!axis_normalize(state->axis, input->rank, &axis)) {
    return run_fail(context, NORMA_ERROR_RUN, "axis is out of range");
  }
  const int64_t size = input->dims[axis], k = (values ? values : indices)->dims[axis];
  const norma_tensor *given = run_input(context, 1);
  if (k > size || k > state->reserved || (given && norma_tensor_count(given) == 1 && tensor_get_int64(given, 0) != k)) {
    return run_fail(context, NORMA_ERROR_RUN, "K does not fit the output");
  }
  const int64_t inner = dims_product(input->dims, axis + 1, input->rank);
  const int64_t lanes = dims_product(input->dims, 0, axis) * inner;
  if (k == 0 || lanes == 0) return NORMA_OK;
  top_k_job job = {state, context, input, values, indices, size, inner, k};
  return run_parallel(context, lanes, size >= 4096 ? 1 : 4096 / size, top_k_body, &job);
}

static const operator_attribute top_k_attributes[] = {
    {"axis", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"k", ATTRIBUTE_INT, 1, 9, true},
    {"largest", ATTRIBUTE_INT, 11, OPERATOR_LATEST, false},
    {"sorted", ATTRIBUTE_INT, 11, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_top_k[] = {
    {.name = "TopK",
     .domain = "",
     .versions = {1, 10, 11, 24},
     .min_inputs = 1,
     .max_inputs = 2,
     .min_outputs = 1,
     .max_outputs = 2,
     .types = {{TYPES_NUMERIC, INPUT(0), OUTPUT(0)},
               {TYPE_BIT(NORMA_INT64), INPUT(1), 0},
               {TYPE_BIT(NORMA_INT64), 0, OUTPUT(1)}},
     .attributes = top_k_attributes,
     .state_size = sizeof(top_k_state),
     .read = top_k_read,
     .infer = top_k_infer,
     .prepare = top_k_prepare,
     .compute = top_k_compute},
    {0},
};
