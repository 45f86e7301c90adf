/*
 * Einsum 12, 28 (ai.onnx)
 *
 *   result[labels of the result] = sum over all other labels of the product of the operands' elements
 *
 * by an equation such as "bij,bjk->bik": letters, "..." for dimensions that are broadcast, spaces. Without "->" the
 * result has the dimensions of "..." and the letters that occur once, in the order of their characters. A letter that
 * comes twice in one term walks along the diagonal. Sizes of 1 are repeated. Any number of operands of one numeric
 * type; half precision is computed in float, integers wrap around. 28 adds bfloat16.
 *
 * Pairs of operands are contracted by matrix products; see einsum_plan.h and einsum_contract.c.
 */
#include "ops/half.h"
#include "ops/matmul/einsum_plan.h"
#include "ops/work.h"

#include <inttypes.h>

typedef struct einsum_state {
  einsum_equation equation;
  einsum_plan plan;
} einsum_state;

static norma_status einsum_read(const node *node, void *state, norma_error *error) {
  return einsum_read_equation(node, &((einsum_state *)state)->equation, error);
}

/* Takes in the sizes of an operand's dimensions; sizes that are not known yet leave those that are. */
static bool einsum_merge_sizes(const einsum_term *term, const int64_t *dims, int64_t *sizes, int *conflict) {
  for (int i = 0; i < term->count; i++) {
    int64_t *size = &sizes[term->labels[i]];
    if (dims[i] == 1) continue;
    if (dims[i] == DIM_UNKNOWN) {
      if (*size == 1) *size = DIM_UNKNOWN;
    } else if (*size == 1 || *size == DIM_UNKNOWN) {
      *size = dims[i];
    } else if (*size != dims[i]) {
      *conflict = i;
      return false;
    }
  }
  return true;
}

static norma_status einsum_infer(infer_context *context) {
  const einsum_state *state = context->state;
  int64_t sizes[EINSUM_LABELS];
  int ellipsis = 0, most_ellipsis = 0, conflict;
  bool known = true;
  size_t cursor = 0;
  einsum_term term;
  shape result = shape_unknown();
  TRY(infer_types_since(context, TYPES_BFLOAT16, 28));
  for (int i = 0; i < EINSUM_LABELS; i++) sizes[i] = 1;
  for (int i = 0; i < context->input_count && known; i++) {
    const shape *operand = infer_shape(context, i);
    known = operand->rank != RANK_UNKNOWN;
    if (!known) break;
    const char *problem = einsum_next_term(&state->equation, &cursor, operand->rank, &term, &ellipsis);
    if (problem) return infer_fail(context, "operand %d: %s", i, problem);
    if (!einsum_merge_sizes(&term, operand->dims, sizes, &conflict))
      return infer_fail(context, "dimension %d of operand %d is %" PRId64 " and elsewhere %" PRId64, conflict, i,
                        operand->dims[conflict], sizes[term.labels[conflict]]);
    if (ellipsis > most_ellipsis) most_ellipsis = ellipsis;
  }
  if (known) {
    const char *problem = einsum_result_term(&state->equation, most_ellipsis, &term);
    if (problem) return infer_fail(context, "%s", problem);
    result = shape_of_rank(term.count);
    for (int i = 0; i < term.count; i++) result.dims[i] = sizes[term.labels[i]];
  }
  infer_output(context, 0, infer_type(context, 0), &result);
  return NORMA_OK;
}

/* Sizes and uses of labels. */
static void einsum_survey(const prepare_context *context, const einsum_equation *equation, einsum_plan *plan) {
  size_t cursor = 0;
  int ellipsis, most_ellipsis = 0, conflict;
  for (int i = 0; i < EINSUM_LABELS; i++) plan->sizes[i] = 1;
  for (int i = 0; i < plan->operands; i++) {
    const shape *operand = prepare_shape(context, i);
    einsum_term term;
    bool seen[EINSUM_LABELS] = {false};
    einsum_next_term(equation, &cursor, operand->rank, &term, &ellipsis);
    einsum_merge_sizes(&term, operand->dims, plan->sizes, &conflict);
    if (ellipsis > most_ellipsis) most_ellipsis = ellipsis;
    for (int k = 0; k < term.count; k++) {
      const uint8_t label = term.labels[k];
      plan->empty |= operand->dims[k] == 0;
      if (operand->dims[k] == 1 || seen[label]) continue;
      seen[label] = true;
      plan->uses[label]++;
      plan->last[label] = i;
    }
  }
  einsum_result_term(equation, most_ellipsis, &plan->result);
}

static norma_status einsum_prepare(prepare_context *context) {
  einsum_state *state = context->state;
  einsum_plan *plan = &state->plan;
  *plan =
      (einsum_plan){.type = prepare_type(context, 0), .operands = context->input_count, .workers = context->workers};
  plan->work = plan->type == NORMA_DOUBLE                         ? EINSUM_F64
               : plan->type == NORMA_FLOAT || is_half(plan->type) ? EINSUM_F32
                                                                  : EINSUM_U64;
  plan->element_bytes = plan->work == EINSUM_F32 ? sizeof(float) : sizeof(double);
  einsum_survey(context, &state->equation, plan);
  context->kernel_name = "empty";
  if (plan->empty) return NORMA_OK;
  einsum_walk walk = {.plan = plan, .equation = &state->equation, .kernels = context->kernels, .prepare = context};
  TRY(einsum_run_walk(&walk));
  for (int i = 0; i < EINSUM_REGIONS; i++) {
    if (!scratch_append(&plan->scratch_bytes, walk.bytes[i], 1, &plan->at[i]))
      return prepare_fail(context, NORMA_ERROR_BUDGET, "the operands are too large");
  }
  context->scratch_bytes = plan->scratch_bytes;
  context->worker_scratch_bytes = plan->worker_bytes;
  context->kernel_name = plan->packed[0] || plan->packed[1] ? "packed" : "pairs";
  context->flops = plan->flops;
  return NORMA_OK;
}

static norma_status einsum_compute(run_context *context) {
  const einsum_state *state = context->state;
  norma_tensor *output = run_output(context, 0);
  if (!output || output->size_bytes == 0) return NORMA_OK;
  if (state->plan.empty) { /* sums of nothing */
    memset(output->data, 0, output->size_bytes);
    return NORMA_OK;
  }
  einsum_plan plan = state->plan;
  einsum_walk walk = {.plan = &plan, .equation = &state->equation, .kernels = context->kernels, .context = context};
  return einsum_run_walk(&walk);
}

static const operator_attribute einsum_attributes[] = {
    {"equation", ATTRIBUTE_STRING, 12, OPERATOR_LATEST, true},
    {0},
};

const operator_descriptor operators_einsum[] = {
    {
        .domain = "",
        .name = "Einsum",
        .versions = {12, 28},
        .min_inputs = 1,
        .max_inputs = OPERATOR_VARIADIC,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_NUMERIC, INPUT(0), OUTPUT(0)}},
        .attributes = einsum_attributes,
        .state_size = sizeof(einsum_state),
        .read = einsum_read,
        .infer = einsum_infer,
        .prepare = einsum_prepare,
        .facts = {.packs = INPUT(0) | INPUT(1)},
        .compute = einsum_compute,
    },
    {0},
};
