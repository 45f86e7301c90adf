#include "engine/load/load.h"

#include "engine/passes/pass.h"
#include "engine/plan/plan.h"
#include "engine/plan/shape_inference.h"

#include <inttypes.h>
#include <stdio.h>

/* ------------------------------------------------------------------------------------------------ unsupported nodes */

typedef struct report {
  norma_model *model;
  const norma_load_options *options;
  norma_error *error;
  norma_status status;  /* of the first error that ends the walk */
  norma_error conflict; /* of types; told where nothing is unsupported */
  int count;            /* of unsupported nodes */
  char list[sizeof((norma_error *)0)->message];
  region region;
} report;

static void report_unsupported(report *report, const node *node, const char *reason) {
  norma_unsupported item = {node->name, node->op_type, domain_text(node->domain), node->opset, reason};
  if (report->options->report) report->options->report(report->options->report_context, &item);
  runtime_log(report->model->runtime, NORMA_LOG_ERROR, "unsupported: node '%s' (%s, %s %" PRId64 "): %s", item.node,
              item.op_type, item.domain, item.opset, reason);
  size_t used = strlen(report->list);
  snprintf(report->list + used, sizeof report->list - used, "%s'%s' (%s, %s %" PRId64 "): %s", used ? "; " : "",
           item.node, item.op_type, item.domain, item.opset, reason);
  if (report->count++ == 0 && report->error) {
    error_set(report->error, NORMA_ERROR_UNSUPPORTED, "unsupported");
    ERROR_COPY(report->error->node, node->name);
    ERROR_COPY(report->error->op_type, node->op_type);
    ERROR_COPY(report->error->domain, domain_text(node->domain));
    report->error->opset = node->opset;
  }
}

static norma_status report_finish(report *report) {
  if (report->count == 0) return NORMA_OK;
  if (report->error) {
    char text[sizeof report->error->message];
    int length =
        snprintf(text, sizeof text, "%d %s unsupported: ", report->count, report->count == 1 ? "node is" : "nodes are");
    error_copy_text(text + length, sizeof text - (size_t)length, report->list);
    ERROR_COPY(report->error->message, text);
  }
  return NORMA_ERROR_UNSUPPORTED;
}

/* -------------------------------------------------------------------------------------------------- resolving nodes */

/* An absent input is for operators that declare it: behind the required ones, and not where any number may follow. */
static bool may_be_absent(const operator* op, int index) {
  if (index < 32 && (op->absent_inputs & INPUT(index))) return true;
  return index >= op->min_inputs && (op->custom || op->max_inputs != OPERATOR_VARIADIC);
}

static norma_status check_arity(const node *node, norma_error *error) {
  const operator* op = node->op;
  int given = node->input_count;
  while (given > 0 && !node->inputs[given - 1]) given--;
  if (given < op->min_inputs || given > op->max_inputs) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has %d inputs, expected %d to %d", given,
                         op->min_inputs, op->max_inputs);
  }
  for (int i = 0; i < node->input_count; i++) {
    if (!node->inputs[i] && !may_be_absent(op, i)) {
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "input %d is absent, but %s needs it", i,
                           node->op_type);
    }
  }
  if (node->output_count < op->min_outputs || node->output_count > op->max_outputs) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has %d outputs, expected %d to %d",
                         node->output_count, op->min_outputs, op->max_outputs);
  }
  return NORMA_OK;
}

static const operator_attribute *find_declaration(const node *node, const char *name) {
  const operator_attribute *declared = node->op->attributes;
  for (; declared && declared->name; declared++) {
    bool in_force = declared->since <= node->version && (!declared->until || node->version <= declared->until);
    if (in_force && strcmp(declared->name, name) == 0) return declared;
  }
  return NULL;
}

static norma_status check_attributes(const node *node, norma_error *error) {
  if (node->op->custom) return NORMA_OK; /* their attributes are their own affair */
  for (int i = 0; i < node->attribute_count; i++) {
    const attribute *attribute = &node->attributes[i];
    const operator_attribute *declared = find_declaration(node, attribute->name);
    if (!declared) {
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has no attribute '%s' in version %d of %s",
                           attribute->name, node->version, node->op_type);
    }
    if (declared->kind != attribute->kind) {
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "attribute '%s' has kind %d, expected %d",
                           attribute->name, (int)attribute->kind, (int)declared->kind);
    }
  }
  const operator_attribute *declared = node->op->attributes;
  for (; declared && declared->name; declared++) {
    bool in_force = declared->since <= node->version && (!declared->until || node->version <= declared->until);
    if (in_force && declared->required && !node_attribute(node, declared->name)) {
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "lacks the attribute '%s'", declared->name);
    }
  }
  return NORMA_OK;
}

norma_status load_resolve_node(norma_model *model, node *node, const char **reason, norma_error *error) {
  *reason = NULL;
  const operator* op = runtime_find_operator(model->runtime, node->domain, node->op_type);
  if (!op) {
    *reason = "operator not known to this build";
    return NORMA_OK;
  }
  node->version = operator_version(op, node->opset);
  if (node->version == 0) {
    *reason = "operator not supported at this opset version";
    return NORMA_OK;
  }
  node->op = op;
  TRY(check_arity(node, error));
  TRY(check_attributes(node, error));
  node->state = region_allocate(node->graph->region, op->state_size);
  if (!node->state) return region_error(node->graph->region, error);
  if (!op->read) return NORMA_OK;
  norma_status status = op->read(node, node->state, error);
  if (status == NORMA_OK || status == NORMA_ERROR_UNSUPPORTED) return status;
  error_add_node(error, node);
  return status;
}

/* Operators compute their required outputs without asking: one without a name gets a value that nobody reads. */
static norma_status make_required_outputs(node *node, norma_error *error) {
  for (int i = 0; node->op && i < node->op->min_outputs; i++) {
    if (node->outputs[i]) continue;
    graph_value *unread = graph_add_unique_value(node->graph, node->name);
    if (!unread) return region_error(node->graph->region, error);
    node_set_output(node, i, unread);
  }
  return NORMA_OK;
}

static bool resolve_graph(void *context, graph *graph) {
  report *report = context;
  for (node *node = graph->first; node; node = node->next) {
    const char *reason = "operator not known to this build"; /* inner operators are not for files */
    norma_error error;
    bool is_inner = strcmp(node->domain, OPERATOR_INNER_DOMAIN) == 0;
    norma_status status = is_inner ? NORMA_OK : load_resolve_node(report->model, node, &reason, &error);
    if (status == NORMA_OK) status = make_required_outputs(node, &error);
    if (status == NORMA_ERROR_UNSUPPORTED) {
      node->op = NULL;
      reason = error.message;
    } else if (status != NORMA_OK) {
      report->status = status;
      if (report->error) *report->error = error;
      return false;
    }
    if (reason) report_unsupported(report, node, reason);
    if (!node_visit_subgraphs(node, resolve_graph, report)) return false;
  }
  return true;
}

/* ------------------------------------------------------------------------------------------------------------ types */

static void describe_conflict(report *report, const node *node, const type_conflict *conflict) {
  const graph_value *input = node->inputs[conflict->input];
  if (conflict->is_kind) {
    report->status = error_at_node(&report->conflict, NORMA_ERROR_INVALID_MODEL, node,
                                   "input %d ('%s') must be a tensor", conflict->input, input->name);
  } else if (conflict->expected != NORMA_UNDEFINED) {
    report->status = error_at_node(&report->conflict, NORMA_ERROR_INVALID_MODEL, node,
                                   "input %d ('%s') has element type %s, expected %s like the inputs before",
                                   conflict->input, input->name, norma_element_type_name(input->info.type),
                                   norma_element_type_name(conflict->expected));
  } else {
    char text[160];
    snprintf(text, sizeof text, "element type %s of input %d ('%.80s') is not supported",
             norma_element_type_name(input->info.type), conflict->input, input->name);
    report_unsupported(report, node, text);
  }
}

static bool check_graph_types(void *context, graph *graph) {
  report *report = context;
  for (node *node = graph->first; node; node = node->next) {
    const value_info **inputs = region_array(&report->region, (size_t)node->input_count, sizeof *inputs);
    if (!inputs) {
      report->status = region_error(&report->region, &report->conflict);
      return false;
    }
    for (int i = 0; i < node->input_count; i++) inputs[i] = node->inputs[i] ? &node->inputs[i]->info : NULL;
    type_conflict conflict;
    if (node->op && !operator_accepts(node->op, node->input_count, inputs, &conflict)) {
      describe_conflict(report, node, &conflict);
    }
    if (report->status != NORMA_OK || !node_visit_subgraphs(node, check_graph_types, report)) return false;
  }
  return true;
}

norma_status load_infer(norma_model *model, executor *executor, norma_error *error) {
  region region;
  region_init(&region, model->memory);
  inferrer inferrer;
  norma_status status =
      inferrer_init(&inferrer, executor, &region, model->graph, NULL, NORMA_ERROR_INVALID_MODEL, error);
  inferrer.write_back = true;
  if (status == NORMA_OK) status = inferrer_run(&inferrer, error);
  inferrer_release(&inferrer);
  region_free(&region);
  return status;
}

/* The inputs' descriptions, with batches of 1 where the model leaves them open. False where it leaves more open. */
static bool fix_inputs(const graph *graph, value_info *inputs, bool *open_batch) {
  *open_batch = false;
  for (int i = 0; i < graph->input_count; i++) {
    inputs[i] = graph->inputs[i]->info;
    if (graph->inputs[i]->constant) continue;
    shape *shape = &inputs[i].shape;
    if (inputs[i].kind != NORMA_VALUE_TENSOR) return false;
    if (shape->rank > 0 && shape->dims[0] == DIM_UNKNOWN) {
      shape->dims[0] = 1;
      *open_batch = true;
    }
    if (!shape_is_known(shape)) return false;
  }
  return true;
}

static norma_status pack_for_inputs(norma_model *model, executor *executor, const value_info *inputs, bool open_batch,
                                    norma_error *error) {
  plan_request request = {.executor = executor,
                          .graph = model->graph,
                          .inputs = inputs,
                          .release_packed = true,
                          .other_batches = open_batch};
  plan *plan;
  norma_error refused;
  norma_status status = plan_create(&request, &plan, &refused);
  if (status == NORMA_OK) plan_destroy(plan);
  if (open_batch && status == NORMA_ERROR_INPUT) return NORMA_OK; /* the model wants another batch */
  if (status != NORMA_OK && error) *error = refused;
  return status;
}

/* Where the model fixes its shapes, but for the batch, weights are packed now, one by one, and what was packed is given
 * back: so weights exist once, and loading needs little more than they take. */
static norma_status pack_constants(norma_model *model, executor *executor, norma_error *error) {
  const graph *graph = model->graph;
  size_t bytes = (size_t)graph->input_count * sizeof(value_info);
  value_info *inputs = memory_allocate_zeroed(model->memory, bytes);
  if (!inputs) return memory_error(model->memory, bytes, error);
  bool open_batch;
  norma_status status = NORMA_OK;
  if (fix_inputs(graph, inputs, &open_batch)) {
    executor->packed = &model->packed;
    executor->workers = model->runtime->workers;
    status = pack_for_inputs(model, executor, inputs, open_batch, error);
  }
  memory_free(model->memory, inputs);
  return status;
}

/* --------------------------------------------------------------------------------------------------- lazy constants */

/* Whether the value is the weights of one layer, which reads them when it packs them. */
static bool is_for_layer(const graph_value *value) {
  const use *use = value->uses;
  if (!use || !value_has_single_use(value) || use->index != 1 || use->node->graph != value->graph) return false;
  return node_is(use->node, "Conv") || node_is(use->node, "Gemm") || node_is(use->node, "MatMul");
}

/* Reads what is lazy: all of it, or what others than layers read. */
static norma_status fetch_constants(const graph *graph, bool all, norma_error *error) {
  for (int i = 0; i < graph->value_count; i++) {
    const graph_value *value = graph->values[i];
    if (!value->constant || !value_is_lazy(value->constant) || (!all && is_for_layer(value))) continue;
    TRY(lazy_fetch((struct norma_value *)(uintptr_t)value->constant, error));
  }
  return NORMA_OK;
}

static bool list_runtime_inputs(norma_model *model) {
  const graph *graph = model->graph;
  model->runtime_inputs = region_array(&model->region, (size_t)graph->input_count, sizeof *model->runtime_inputs);
  if (!model->runtime_inputs) return false;
  for (int i = 0; i < graph->input_count; i++) {
    if (!graph->inputs[i]->constant) model->runtime_inputs[model->runtime_input_count++] = graph->inputs[i];
  }
  return true;
}

/* Operations that nodes evaluated at load may cost in all, some seconds: loading has no deadline, and what is not
 * folded is computed by runs, which have. A number of operations rather than a time, so that each load gives the same
 * graph. */
#define LOAD_WORK 1e10

norma_status load_prepare(norma_model *model, const norma_load_options *options, norma_error *error) {
  report report = {.model = model, .options = options, .error = error};
  region_init(&report.region, model->memory);
  if (!resolve_graph(&report, model->graph)) return report.status;
  packed_cache packed; /* what evaluation packs is for nodes that constants replace */
  packed_cache_init(&packed, model->memory);
  executor executor;
  executor_init_serial(&executor, model->memory, model->runtime->kernels, &packed, model->exact);
  executor.work_left = LOAD_WORK;
  norma_error infer_error;
  norma_status status = load_infer(model, &executor, &infer_error);
  if (status == NORMA_OK || report.count > 0) {
    /* Where nodes are unsupported, what follows from them may fail to be inferred: that is the lesser news. */
    if (!check_graph_types(&report, model->graph) && report.count == 0) {
      status = report.status;
      if (error) *error = report.conflict;
    }
    if (report.count > 0) status = report_finish(&report);
  } else if (error) {
    *error = infer_error;
  }
  region_free(&report.region);
  if (status == NORMA_OK) status = fetch_constants(model->graph, false, error);
  if (status == NORMA_OK) {
    status = passes_run(model, &executor, options->disabled_passes, options->disabled_pass_count, error);
  }
  if (status == NORMA_OK && !(graph_find_captures(model->graph) && list_runtime_inputs(model))) {
    status = region_error(&model->region, error);
  }
  if (status == NORMA_OK && model->optimization == NORMA_OPTIMIZE_FULL && !options->keep_constants) {
    status = pack_constants(model, &executor, error);
  }
  if (status == NORMA_OK) status = fetch_constants(model->graph, true, error);
  packed_cache_free(&packed);
  return status;
}
