#include "engine/compile/write_source.h"

#include "engine/compile/compiled_model.h"
#include "engine/compile/source_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Written by the build: the operators of each file, and what that array is called. */
extern const operator_descriptor *const operator_tables[];
extern const char *const operator_table_names[];
extern const size_t operator_table_count;

/* What is written once and referred to by number: constants and values of the graph. */
typedef struct source_list {
  memory *memory;
  const void **items;
  size_t count, capacity;
} source_list;

typedef struct source_writer {
  const source_request *request;
  source_text text;
  source_list constants; /* const value * */
  source_list values;    /* const graph_value * */
  size_t packed_count;
  size_t packed_bytes;
  bool out_of_memory;
} source_writer;

static size_t source_list_find(const source_list *list, const void *item) {
  size_t at = 0;
  while (at < list->count && list->items[at] != item) at++;
  return at;
}

/* Adds `item` unless it is there. */
static void source_list_add(source_writer *writer, source_list *list, const void *item) {
  if (!item || source_list_find(list, item) < list->count) return;
  if (list->count == list->capacity) {
    const size_t capacity = list->capacity ? 2 * list->capacity : 64;
    const void **longer =
        memory_resize(list->memory, list->items, list->capacity * sizeof *longer, capacity * sizeof *longer);
    if (!longer) {
      writer->out_of_memory = true;
      return;
    }
    list->items = longer;
    list->capacity = capacity;
  }
  list->items[list->count++] = item;
}

static const slot *writer_slots(const source_writer *writer) {
  return writer->request->plan->slots;
}

/* ---------------------------------------------------------------------------------------------- what can be written */

/* Why a step cannot be compiled; NULL: it can. */
static const char *step_obstacle(const source_writer *writer, const step *step) {
  if (step->late) return "shapes that depend on data";
  for (int i = 0; i < step->node->input_count; i++) {
    if (step->inputs[i] < 0) continue;
    const slot *slot = &writer_slots(writer)[step->inputs[i]];
    if (slot->info.kind != NORMA_VALUE_TENSOR) return "an input that is no tensor";
    if (slot->info.type == NORMA_STRING) return "strings";
  }
  for (int i = 0; i < step->node->attribute_count; i++) {
    const attribute_kind kind = step->node->attributes[i].kind;
    if (kind == ATTRIBUTE_GRAPH || kind == ATTRIBUTE_GRAPHS) return "graphs within it";
    if (kind == ATTRIBUTE_TYPE_PROTO || kind == ATTRIBUTE_TYPE_PROTOS) return "an attribute that is a type";
  }
  return step->node->op->custom ? "an operator of the program's own" : NULL;
}

static norma_status check_steps(const source_writer *writer, norma_error *error) {
  const plan *plan = writer->request->plan;
  char names[600] = "";
  size_t length = 0, found = 0, told = 0;
  for (int s = 0; s < plan->step_count; s++) {
    const char *obstacle = step_obstacle(writer, &plan->steps[s]);
    if (!obstacle) continue;
    found++;
    const int added = snprintf(names + length, sizeof names - length, "%s'%s' (%s): %s", found > 1 ? "; " : "",
                               plan->steps[s].node->name, plan->steps[s].node->op_type, obstacle);
    if (added < 0 || (size_t)added >= sizeof names - length) {
      names[length] = '\0';
      continue;
    }
    length += (size_t)added;
    told++;
  }
  if (found == 0) return NORMA_OK;
  return error_set(error, NORMA_ERROR_UNSUPPORTED, "the plan is not fixed: %s%s", names,
                   found > told ? "; and more nodes" : "");
}

static norma_status check_request(const source_writer *writer, norma_error *error) {
  const source_request *request = writer->request;
  const struct kernel_table *built;
  size_t i = 0;
  while ((built = kernel_table_built_at(i)) && built != request->executor->kernels) i++;
  if (!built) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "a compiled model needs a kernel table without overrides: '%s:plain'",
                     request->executor->kernels->name);
  }
  if (request->executor->workers != 1) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "a compiled model runs on one thread, the runtime has %d",
                     request->executor->workers);
  }
  return check_steps(writer, error);
}

/* ------------------------------------------------------------------------------------------------------- collecting */

static void collect_node(source_writer *writer, const node *node) {
  for (int i = 0; i < node->input_count; i++) {
    source_list_add(writer, &writer->values, node->inputs[i]);
    if (node->inputs[i]) source_list_add(writer, &writer->constants, node->inputs[i]->constant);
  }
  for (int i = 0; i < node->output_count; i++) source_list_add(writer, &writer->values, node->outputs[i]);
  for (int i = 0; i < node->attribute_count; i++) {
    if (attribute_holds_tensor(&node->attributes[i])) {
      source_list_add(writer, &writer->constants, node->attributes[i].tensor);
    }
  }
}

static void collect_source(source_writer *writer) {
  const plan *plan = writer->request->plan;
  for (int i = 0; i < plan->slot_count; i++) source_list_add(writer, &writer->constants, plan->slots[i].contents);
  for (int s = 0; s < plan->step_count; s++) {
    if (!plan->steps[s].skipped) collect_node(writer, plan->steps[s].node);
  }
}

/* -------------------------------------------------------------------------------------------------------- constants */

static void put_data(source_writer *writer, const char *stem, size_t number, const void *data, size_t bytes) {
  source_put(&writer->text, "static const _Alignas(64) uint32_t %s_%zu[] = {\n", stem, number);
  source_put_words(&writer->text, data, bytes);
  source_put(&writer->text, "};\n");
}

static void put_constants(source_writer *writer) {
  for (size_t i = 0; i < writer->constants.count; i++) {
    const value *constant = writer->constants.items[i];
    const norma_tensor *tensor = &constant->tensor;
    const bool has_data = tensor->data && tensor->size_bytes > 0; /* what was packed is not kept besides */
    if (has_data) put_data(writer, "data", i, tensor->data, tensor->size_bytes);
    source_put(&writer->text, "static const value constant_%zu = {.kind = NORMA_VALUE_TENSOR, .tensor = {", i);
    source_put_tensor(&writer->text, tensor);
    if (has_data) source_put(&writer->text, ", .data = (void *)data_%zu", i);
    source_put(&writer->text, "}};\n");
  }
}

static void put_values(source_writer *writer) {
  for (size_t i = 0; i < writer->values.count; i++) {
    const graph_value *value = writer->values.items[i];
    source_put(&writer->text, "static const graph_value value_%zu = {.name = ", i);
    source_put_string(&writer->text, value->name, strlen(value->name));
    source_put(&writer->text, ", .info = ");
    source_put_info(&writer->text, &value->info);
    if (value->constant) {
      source_put(&writer->text, ", .constant = (value *)&constant_%zu",
                 source_list_find(&writer->constants, value->constant));
    }
    source_put(&writer->text, "};\n");
  }
}

/* ------------------------------------------------------------------------------------------------------------ nodes */

static void put_int(source_text *text, int64_t number) {
  if (number == INT64_MIN) {
    source_put(text, "INT64_MIN, ");
  } else {
    source_put(text, "%" PRId64 ", ", number);
  }
}

static void put_string(source_text *text, const norma_string *string) {
  source_put(text, "{");
  source_put_string(text, string->data ? string->data : "", string->size);
  source_put(text, ", %zu}, ", string->size);
}

static void put_tensors(source_writer *writer, const attribute *attribute) {
  source_put(&writer->text, ".tensors = (value *)(const value[]){");
  for (size_t i = 0; i < attribute->count; i++) {
    const norma_tensor *tensor = &attribute->tensors[i].tensor;
    source_put(&writer->text, "{.kind = NORMA_VALUE_TENSOR, .tensor = {");
    source_put_tensor(&writer->text, tensor);
    source_put(&writer->text, ", .data = (void *)(const uint32_t[]){");
    source_put_words(&writer->text, tensor->data, tensor->size_bytes);
    source_put(&writer->text, "0}}}, ");
  }
  source_put(&writer->text, "{0}}");
}

static void put_attribute(source_writer *writer, const attribute *attribute) {
  source_text *text = &writer->text;
  source_put(text, "{.name = ");
  source_put_string(text, attribute->name, strlen(attribute->name));
  source_put(text, ", .kind = %d, .count = %zu, ", (int)attribute->kind, attribute->count);
  if (attribute_holds_tensor(attribute)) {
    source_put(text, ".tensor = (value *)&constant_%zu", source_list_find(&writer->constants, attribute->tensor));
  } else if (attribute_holds_tensors(attribute)) {
    put_tensors(writer, attribute);
  } else if (attribute->kind == ATTRIBUTE_FLOAT) {
    source_put(text, ".f = ");
    source_put_float(text, attribute->f);
  } else if (attribute->kind == ATTRIBUTE_INT) {
    source_put(text, ".i = ");
    put_int(text, attribute->i);
  } else if (attribute->kind == ATTRIBUTE_STRING) {
    source_put(text, ".s = ");
    put_string(text, &attribute->s);
  } else if (attribute->kind == ATTRIBUTE_FLOATS) {
    source_put(text, ".floats = (const float[]){");
    for (size_t i = 0; i < attribute->count; i++) {
      source_put_float(text, attribute->floats[i]);
      source_put(text, ", ");
    }
    source_put(text, "0}");
  } else if (attribute->kind == ATTRIBUTE_INTS) {
    source_put(text, ".ints = (const int64_t[]){");
    for (size_t i = 0; i < attribute->count; i++) put_int(text, attribute->ints[i]);
    source_put(text, "0}");
  } else if (attribute->kind == ATTRIBUTE_STRINGS) {
    source_put(text, ".strings = (const norma_string[]){");
    for (size_t i = 0; i < attribute->count; i++) put_string(text, &attribute->strings[i]);
    source_put(text, "{0}}");
  }
  source_put(text, "},\n");
}

static void put_operands(source_writer *writer, const char *kind, int s, graph_value *const *values, int count) {
  source_put(&writer->text, "static graph_value *const %s_%d[] = {", kind, s);
  for (int i = 0; i < count; i++) {
    if (values[i]) {
      source_put(&writer->text, "(graph_value *)&value_%zu, ", source_list_find(&writer->values, values[i]));
    } else {
      source_put(&writer->text, "NULL, ");
    }
  }
  source_put(&writer->text, "NULL};\n");
}

/* "operators_conv[1]" */
static void put_operator(source_text *text, const operator_descriptor *op) {
  for (size_t t = 0; t < operator_table_count; t++) {
    for (size_t i = 0; operator_tables[t][i].name; i++) {
      if (&operator_tables[t][i] == op) source_put(text, "%s[%zu]", operator_table_names[t], i);
    }
  }
}

static void put_epilogue(source_text *text, const epilogue *epilogue) {
  source_put(text, ".epilogue = {%d, %d, {%d, ", epilogue->bias_input, epilogue->residual_input,
             (int)epilogue->activation.kind);
  source_put_float(text, epilogue->activation.a);
  source_put(text, ", ");
  source_put_float(text, epilogue->activation.b);
  source_put(text, "}}");
}

static void put_node(source_writer *writer, int s, const node *node) {
  source_text *text = &writer->text;
  put_operands(writer, "inputs", s, node->inputs, node->input_count);
  put_operands(writer, "outputs", s, node->outputs, node->output_count);
  source_put(text, "static const attribute attributes_%d[] = {\n", s);
  for (int i = 0; i < node->attribute_count; i++) put_attribute(writer, &node->attributes[i]);
  source_put(text, "{0}};\nstatic const node node_%d = {.name = ", s);
  source_put_string(text, node->name, strlen(node->name));
  source_put(text, ", .op_type = ");
  source_put_string(text, node->op_type, strlen(node->op_type));
  source_put(text, ", .domain = ");
  source_put_string(text, node->domain, strlen(node->domain));
  source_put(text, ", .graph = &graph_of_nodes, .opset = %" PRId64 ", .version = %d, .op = &", node->opset,
             node->version);
  put_operator(text, node->op);
  source_put(text,
             ",\n  .input_count = %d, .output_count = %d, .inputs = (graph_value **)inputs_%d, .outputs = "
             "(graph_value **)outputs_%d, .attribute_count = %d, .attributes = (attribute *)attributes_%d,\n  ",
             node->input_count, node->output_count, s, s, node->attribute_count, s);
  put_epilogue(text, &node->epilogue);
  source_put(text, "};\n");
}

/* Arrays of operators, each declared once. */
static void put_operator_declarations(source_writer *writer) {
  const plan *plan = writer->request->plan;
  for (size_t t = 0; t < operator_table_count; t++) {
    bool used = false;
    for (size_t i = 0; operator_tables[t][i].name && !used; i++) {
      for (int s = 0; s < plan->step_count && !used; s++) {
        used = !plan->steps[s].skipped && plan->steps[s].node->op == &operator_tables[t][i];
      }
    }
    if (used) source_put(&writer->text, "extern const operator_descriptor %s[];\n", operator_table_names[t]);
  }
  source_put(&writer->text, "extern const struct kernel_table kernel_table_%s;\n\nstatic graph graph_of_nodes;\n\n",
             writer->request->executor->kernels->name);
}

/* ------------------------------------------------------------------------------------------------------------- plan */

/* Where the memory of an ARENA root is. */
static size_t root_offset(const slot *slots, int root) {
  size_t within = 0;
  for (; slots[root].parent >= 0; root = slots[root].parent) within += slots[root].parent_offset;
  return slots[root].offset + within;
}

static int input_of_slot(const plan *plan, int slot) {
  int found = 0;
  for (int i = 0; i < plan->graph->input_count; i++) {
    if (plan->inputs[i] == slot) return found;
    found += plan->inputs[i] >= 0;
  }
  return 0;
}

/* A view of a constant has its memory, and a shape of its own. */
static void put_view_constants(source_writer *writer) {
  const plan *plan = writer->request->plan;
  for (int i = 0; i < plan->slot_count; i++) {
    const slot *slot = &plan->slots[i], *root = &plan->slots[slot->root];
    if (slot->kind != SLOT_ARENA || !root->contents) continue;
    norma_tensor view = root->contents->tensor;
    view.rank = slot->info.shape.rank;
    memcpy(view.dims, slot->info.shape.dims, sizeof view.dims);
    source_put(&writer->text, "static const value view_%d = {.kind = NORMA_VALUE_TENSOR, .tensor = {", i);
    source_put_tensor(&writer->text, &view);
    source_put(&writer->text, ", .data = (void *)data_%zu}};\n", source_list_find(&writer->constants, root->contents));
  }
}

static void put_slots(source_writer *writer) {
  const plan *plan = writer->request->plan;
  source_text *text = &writer->text;
  put_view_constants(writer);
  source_put(text, "static const compiled_slot slots[] = {\n");
  for (int i = 0; i < plan->slot_count; i++) {
    const slot *slot = &plan->slots[i], *root = &plan->slots[slot->root];
    source_put(text, "{.info = ");
    source_put_info(text, &slot->info);
    if (slot->contents) {
      source_put(text, ", .place = COMPILED_CONSTANT, .contents = &constant_%zu",
                 source_list_find(&writer->constants, slot->contents));
    } else if (root->contents) {
      source_put(text, ", .place = COMPILED_CONSTANT, .contents = &view_%d", i);
    } else if (root->kind == SLOT_INPUT) {
      source_put(text, ", .place = COMPILED_INPUT, .input = %d", input_of_slot(plan, slot->root));
    } else {
      source_put(text, ", .place = COMPILED_ARENA, .offset = %zu", root_offset(plan->slots, slot->root));
    }
    source_put(text, "},\n");
  }
  source_put(text, "};\n");
}

static void put_indices(source_text *text, const char *kind, int s, const int *indices, int count) {
  source_put(text, "static const int %s_%d[] = {", kind, s);
  for (int i = 0; i < count; i++) source_put(text, "%d, ", indices[i]);
  source_put(text, "-1};\n");
}

static void put_steps(source_writer *writer) {
  const plan *plan = writer->request->plan;
  source_text *text = &writer->text;
  for (int s = 0; s < plan->step_count; s++) {
    const step *step = &plan->steps[s];
    if (step->skipped) continue;
    put_node(writer, s, step->node);
    put_indices(text, "reads", s, step->inputs, step->node->input_count);
    put_indices(text, "writes", s, step->outputs, step->node->output_count);
  }
  put_slots(writer);
  source_put(text, "static const compiled_step steps[] = {\n");
  for (int s = 0; s < plan->step_count; s++) {
    const step *step = &plan->steps[s];
    if (step->skipped) continue;
    source_put(text,
               "{.node = &node_%d, .inputs = reads_%d, .outputs = writes_%d, .scratch_bytes = %zu, .scratch_offset = "
               "%zu, .worker_scratch_bytes = %zu, .worker_scratch_offset = %zu},\n",
               s, s, s, step->scratch_bytes, step->scratch_offset, step->worker_scratch_stride,
               step->worker_scratch_offset);
  }
  source_put(text, "};\n");
}

/* ----------------------------------------------------------------------------------------------------------- packed */

static void put_packed_data(void *context, uint64_t key, const void *data, size_t bytes) {
  source_writer *writer = context;
  (void)key;
  put_data(writer, "packed", writer->packed_count++, data, bytes);
  writer->packed_bytes += bytes;
}

typedef struct packed_entry {
  source_writer *writer;
  int step;
} packed_entry;

static void put_packed_entry(void *context, uint64_t key, const void *data, size_t bytes) {
  const packed_entry *entry = context;
  (void)data, (void)bytes;
  source_put(&entry->writer->text, "{&node_%d, %" PRIu64 "u, packed_%zu},\n", entry->step, key,
             entry->writer->packed_count++);
}

static void put_packed(source_writer *writer) {
  const plan *plan = writer->request->plan;
  packed_constants *packed = writer->request->executor->packed;
  for (int s = 0; s < plan->step_count; s++) {
    if (!plan->steps[s].skipped) packed_constants_visit(packed, plan->steps[s].node, put_packed_data, writer);
  }
  writer->packed_count = 0;
  source_put(&writer->text, "static const compiled_packed packed[] = {\n");
  for (int s = 0; s < plan->step_count; s++) {
    packed_entry entry = {writer, s};
    if (!plan->steps[s].skipped) packed_constants_visit(packed, plan->steps[s].node, put_packed_entry, &entry);
  }
  source_put(&writer->text, "{0}};\n");
}

/* ------------------------------------------------------------------------------------------------------------ model */

/* Counts all that is taken, since a pool takes nothing back but what came last. */
static void *counting_allocate(void *context, size_t size, size_t alignment) {
  size_t *total = context;
  *total += size + alignment;
  return aligned_alloc(alignment, size_align(size, alignment));
}

static void counting_deallocate(void *context, void *pointer, size_t size) {
  (void)context, (void)size;
  free(pointer);
}

/* What operators take of their graph's memory as they read attributes. */
static size_t reading_need(const source_writer *writer) {
  const plan *plan = writer->request->plan;
  size_t total = 0;
  const norma_allocator allocator = {counting_allocate, counting_deallocate, &total};
  memory memory;
  region region, states;
  memory_init(&memory, &allocator, SIZE_MAX);
  region_init(&region, &memory);
  region_init(&states, writer->request->model->memory);
  graph graph = *plan->graph;
  graph.memory = &memory;
  graph.region = &region;
  for (int s = 0; s < plan->step_count; s++) {
    node node = *plan->steps[s].node;
    void *state = region_allocate(&states, node.op->state_size);
    node.graph = &graph;
    if (!plan->steps[s].skipped && node.op->read && state) node.op->read(&node, state, NULL);
  }
  region_free(&region);
  region_free(&states);
  return total;
}

static size_t pool_need(const source_writer *writer, int *step_count) {
  const plan *plan = writer->request->plan;
  size_t operands = 0, states = 0;
  *step_count = 0;
  for (int s = 0; s < plan->step_count; s++) {
    const node *node = plan->steps[s].node;
    if (plan->steps[s].skipped) continue;
    ++*step_count;
    operands += (size_t)node->input_count + (size_t)node->output_count;
    states += size_align(node->op->state_size, 16);
  }
  return compiled_pool_bytes((size_t)plan->slot_count, (size_t)*step_count, writer->packed_count, operands, states) +
         reading_need(writer) + size_align(writer->request->spare_bytes, 64);
}

/* The slot of run-time input `index` of the plan's graph; -1 past the last. */
static int input_slot(const plan *plan, int index) {
  for (int i = 0; i < plan->graph->input_count; i++) {
    if (plan->inputs[i] >= 0 && index-- == 0) return plan->inputs[i];
  }
  return -1;
}

static size_t slot_bytes(const plan *plan, int slot) {
  return (size_t)value_info_bytes(&plan->slots[slot].info);
}

static void put_model(source_writer *writer) {
  const source_request *request = writer->request;
  const plan *plan = request->plan;
  source_text *text = &writer->text;
  int steps, inputs = 0;
  const size_t pool = pool_need(writer, &steps);
  source_put(text, "static const int outputs[] = {");
  for (int i = 0; i < plan->graph->output_count; i++) source_put(text, "%d, ", plan->outputs[i]);
  source_put(text, "-1};\nstatic _Alignas(64) char arena[%zu];\nstatic _Alignas(64) char pool[%zu];\n",
             plan->arena_bytes + 64, pool);
  for (int slot; (slot = input_slot(plan, inputs)) >= 0; inputs++) {
    source_put(text, "static _Alignas(64) char input_%d[%zu];\n", inputs, slot_bytes(plan, slot) + 64);
  }
  source_put(text, "static void *const inputs[] = {");
  for (int i = 0; i < inputs; i++) source_put(text, "input_%d, ", i);
  source_put(text,
             "NULL};\nstatic const compiled_model model = {\n  .kernels = &kernel_table_%s, .exact = %d, "
             ".flush_denormals = %d, .slot_count = %d, .step_count = %d,\n  .packed_count = %zu, .input_count = %d, "
             ".output_count = %d, .slots = slots, .steps = steps, .packed = packed,\n  .outputs = outputs, "
             ".graph = &graph_of_nodes, .arena_bytes "
             "= %zu};\n",
             request->executor->kernels->name, request->model->exact, request->model->flush_denormals, plan->slot_count,
             steps, writer->packed_count, inputs, plan->graph->output_count, plan->arena_bytes);
  source_put(text,
             "static compiled_session session;\nstatic norma_error failure;\n\n"
             "int %s_open(void) {\n  return compiled_open(&session, &model, pool, sizeof pool, arena, inputs, NULL, "
             "&failure) != NORMA_OK;\n}\n\n"
             "int %s_run(void) {\n  return compiled_run(&session, &failure) != NORMA_OK;\n}\n\n"
             "const char *%s_error(void) {\n  return failure.message;\n}\n\n",
             request->name, request->name, request->name);
  for (int i = 0; i < inputs; i++) {
    const char *type = source_element_type(plan->slots[input_slot(plan, i)].info.type);
    source_put(text, "%s *%s_input_%d(void) {\n  return (%s *)input_%d;\n}\n\n", type, request->name, i, type, i);
  }
  for (int i = 0; i < plan->graph->output_count; i++) {
    source_put(text, "const %s *%s_output_%d(void) {\n  return compiled_output(&session, %d)->data;\n}\n\n",
               source_element_type(plan->slots[plan->outputs[i]].info.type), request->name, i, i);
  }
}

/* For a comment: what would end it is left out. */
static const char *comment_text(const char *given, char *text, size_t size) {
  size_t used = 0;
  for (; *given && used + 1 < size; given++) {
    if ((unsigned char)*given >= 0x20 && *given != '*' && *given != '/') text[used++] = *given;
  }
  text[used] = '\0';
  return text;
}

static void put_head(source_writer *writer) {
  char producer[128];
  source_put(
      &writer->text,
      "/* Written by norma compile %s from a model of '%s': data of a plan for the kernels of %s.\n"
      " * With NORMA_ONE_FILE the engine's one C file, norma.c, is taken in; else its sources are. */\n"
      "#ifdef NORMA_ONE_FILE\n#include \"norma.c\"\n#else\n#include \"engine/compile/compiled_model.h\"\n#endif\n"
      "#include \"%s.h\"\n\n#include <math.h>\n\n"
      "_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, \"the data are written little end first\");\n\n",
      norma_version(), comment_text(writer->request->model->producer_name, producer, sizeof producer),
      writer->request->executor->kernels->name, writer->request->name);
}

static norma_status writer_finish(source_writer *writer, norma_error *error) {
  memory_free(writer->constants.memory, writer->constants.items);
  memory_free(writer->values.memory, writer->values.items);
  if (writer->out_of_memory) return memory_error(writer->constants.memory, sizeof(void *), error);
  if (writer->text.failed) return error_set(error, NORMA_ERROR_FILE, "the source cannot be written");
  return NORMA_OK;
}

static source_writer writer_start(const source_request *request) {
  memory *memory = request->model->memory;
  return (source_writer){.request = request,
                         .text = {.write = request->write, .context = request->write_context},
                         .constants = {.memory = memory},
                         .values = {.memory = memory}};
}

norma_status source_write(const source_request *request, norma_error *error) {
  source_writer writer = writer_start(request);
  TRY(check_request(&writer, error));
  collect_source(&writer);
  if (!writer.out_of_memory) {
    put_head(&writer);
    put_operator_declarations(&writer);
    put_constants(&writer);
    put_values(&writer);
    put_steps(&writer);
    put_packed(&writer);
    put_model(&writer);
  }
  return writer_finish(&writer, error);
}

/* ----------------------------------------------------------------------------------------------- header and program */

static void put_shape_comment(source_text *text, const slot *slot) {
  char shape[200], name[128];
  source_put(text, "/* '%s', %s %s */\n", comment_text(slot->value->name, name, sizeof name),
             norma_element_type_name(slot->info.type), shape_text(&slot->info.shape, shape, sizeof shape));
}

norma_status source_write_header(const source_request *request, norma_error *error) {
  source_writer writer = writer_start(request);
  const plan *plan = request->plan;
  source_text *text = &writer.text;
  TRY(check_request(&writer, error));
  source_put(
      text,
      "/* Written by norma compile. Call %s_open once; fill the inputs' memory and call %s_run for each run. Both"
      "\n * return 0, or else %s_error tells why. One thread at a time. */\n#pragma once\n\n"
      "#include <stdint.h>\n\nint %s_open(void);\nint %s_run(void);\nconst char *%s_error(void);\n",
      request->name, request->name, request->name, request->name, request->name, request->name);
  for (int i = 0, slot; (slot = input_slot(plan, i)) >= 0; i++) {
    source_put(text, "\n");
    put_shape_comment(text, &plan->slots[slot]);
    source_put(text, "#define %s_INPUT_%d_BYTES %zu\n%s *%s_input_%d(void);\n", request->name, i,
               slot_bytes(plan, slot), source_element_type(plan->slots[slot].info.type), request->name, i);
  }
  for (int i = 0; i < plan->graph->output_count; i++) {
    const slot *slot = &plan->slots[plan->outputs[i]];
    source_put(text, "\n");
    put_shape_comment(text, slot);
    source_put(text, "#define %s_OUTPUT_%d_BYTES %zu\nconst %s *%s_output_%d(void);\n", request->name, i,
               slot_bytes(plan, plan->outputs[i]), source_element_type(slot->info.type), request->name, i);
  }
  return writer_finish(&writer, error);
}

/* How printf shows an element of that C type. */
static const char *element_format(norma_element_type type) {
  const char *c_type = source_element_type(type);
  if (strcmp(c_type, "float") == 0) return "%.9g\\n\", (double)";
  if (strcmp(c_type, "double") == 0) return "%.17g\\n\", ";
  return "%lld\\n\", (long long)";
}

norma_status source_write_main(const source_request *request, norma_error *error) {
  source_writer writer = writer_start(request);
  const plan *plan = request->plan;
  source_text *text = &writer.text;
  const char *name = request->name;
  int inputs = 0;
  TRY(check_request(&writer, error));
  while (input_slot(plan, inputs) >= 0) inputs++;
  source_put(
      text,
      "/* Written by norma compile: %s_main [INPUT]... [OUTPUT]...\n"
      " * The first %d arguments are files of raw elements, zeros where there are none; the model runs once. Outputs"
      "\n * go to the files that are named next, also raw, and are else printed, each element on a line. */\n"
      "#include \"%s.h\"\n\n#include <stdio.h>\n\n",
      name, inputs, name);
  source_put(text, "%s",
             "static int move(const char *path, void *data, size_t bytes, int reads) {\n"
             "  FILE *file = fopen(path, reads ? \"rb\" : \"wb\");\n"
             "  size_t count = !file ? 0 : reads ? fread(data, 1, bytes, file) : fwrite(data, 1, bytes, file);\n"
             "  int good = file && fclose(file) == 0 && count == bytes;\n"
             "  if (!good) fprintf(stderr, \"%s: %lu bytes cannot be %s\\n\", path, (unsigned long)bytes, reads ? "
             "\"read\" : \"written\");\n  return good;\n}\n\n");
  source_put(
      text,
      "int main(int count, char **arguments) {\n  if (%s_open()) {\n    fprintf(stderr, \"%%s\\n\", %s_error());\n "
      "   return 1;\n  }\n",
      name, name);
  for (int i = 0; i < inputs; i++) {
    source_put(text, "  if (count > %d && !move(arguments[%d], %s_input_%d(), %s_INPUT_%d_BYTES, 1)) return 1;\n",
               i + 1, i + 1, name, i, name, i);
  }
  source_put(text, "  if (%s_run()) {\n    fprintf(stderr, \"%%s\\n\", %s_error());\n    return 1;\n  }\n", name, name);
  for (int i = 0; i < plan->graph->output_count; i++) {
    const char *format = element_format(plan->slots[plan->outputs[i]].info.type);
    source_put(
        text,
        "  if (count > %d) {\n    if (!move(arguments[%d], (void *)%s_output_%d(), %s_OUTPUT_%d_BYTES, 0)) return 1;"
        "\n  } else {\n    for (size_t i = 0; i < %s_OUTPUT_%d_BYTES / sizeof *%s_output_%d(); i++) printf(\"%s"
        "%s_output_%d()[i]);\n  }\n",
        inputs + i + 1, inputs + i + 1, name, i, name, i, name, i, name, i, format, name, i);
  }
  source_put(text, "  return 0;\n}\n");
  return writer_finish(&writer, error);
}
