/*
 * RegexFullMatch 20: for each string of any shape, whether the whole of it matches `pattern`; see regex.h for the
 * syntax.
 */
#include "ops/text/regex.h"

#define REGEX_GRAIN 64 /* strings of one piece */

typedef struct regex_full_match_state {
  const regex *regex;
  int workers;
} regex_full_match_state;

static norma_status regex_full_match_read(const node *node, void *opaque, norma_error *error) {
  regex_full_match_state *state = opaque;
  const attribute *pattern = node_attribute(node, "pattern");
  const norma_string nothing = {"", 0};
  return regex_compile(node, "pattern", pattern ? &pattern->s : &nothing, &state->regex, error);
}

static norma_status regex_full_match_infer(infer_context *context) {
  infer_output(context, 0, NORMA_BOOL, infer_shape(context, 0));
  return NORMA_OK;
}

static norma_status regex_full_match_prepare(prepare_context *context) {
  regex_full_match_state *state = context->state;
  state->workers = context->workers;
  context->worker_scratch_bytes = regex_scratch_bytes(state->regex);
  return NORMA_OK;
}

static void regex_full_match_range(void *argument, int64_t begin, int64_t end, int worker) {
  const run_context *context = argument;
  const regex_full_match_state *state = context->state;
  const norma_string *x = run_input(context, 0)->data;
  bool *y = run_output(context, 0)->data;
  for (int64_t i = begin; i < end; i++) {
    if (x[i].size > 4096 && run_cancelled(context)) return;
    y[i] = regex_matches(context, state->regex, x[i].data, x[i].size, run_worker_scratch(context, worker));
  }
}

static norma_status regex_full_match_compute(run_context *context) {
  const regex_full_match_state *state = context->state;
  if (!context->outputs[0]) return NORMA_OK;
  const int64_t count = norma_tensor_count(run_input(context, 0));
  for (int worker = 0; worker < state->workers; worker++)
    memset(run_worker_scratch(context, worker), 0, regex_scratch_bytes(state->regex));
  return run_parallel(context, count, REGEX_GRAIN, regex_full_match_range, context);
}

static const operator_attribute regex_full_match_attributes[] = {
    {"pattern", ATTRIBUTE_STRING, 20, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_regex_full_match[] = {
    {
        .domain = "",
        .name = "RegexFullMatch",
        .versions = {20},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPE_BIT(NORMA_STRING), INPUT(0), 0}, {TYPE_BIT(NORMA_BOOL), 0, OUTPUT(0)}},
        .attributes = regex_full_match_attributes,
        .state_size = sizeof(regex_full_match_state),
        .read = regex_full_match_read,
        .infer = regex_full_match_infer,
        .prepare = regex_full_match_prepare,
        .compute = regex_full_match_compute,
    },
    {0},
};
