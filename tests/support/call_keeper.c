#include "tests/support/call_keeper.h"

#include "proto/value_writer.h"
#include "tests/support/model_builder.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
  MOST_CALLS_OF_OPERATOR = 24,
  MOST_BUILT_MODELS = 100,
  MOST_BYTES_OF_MODEL = 100000,
  MOST_ELEMENTS_OF_CALL = 50000,
  PATH_BYTES = 520
};

/* FNV-1a: models that are equal to the byte have been kept before. */
static uint64_t hash_of(const unsigned char *bytes, size_t size) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (size_t i = 0; i < size; i++) hash = (hash ^ bytes[i]) * 0x100000001B3u;
  return hash;
}

static bool is_small(const driver_call *call) {
  for (int i = 0; i < call->input_count; i++) {
    const norma_tensor *tensor = call->inputs[i] ? norma_value_tensor(call->inputs[i]) : NULL;
    if (tensor && norma_tensor_count(tensor) > MOST_ELEMENTS_OF_CALL) return false;
  }
  return true;
}

static void add_attributes(node *node, const driver_call *call) {
  for (const attribute *given = call->attributes; given->name; given++) {
    builder_int(node, given->name, 0);
    attribute *made = &node->attributes[node->attribute_count - 1];
    *made = *given;
    if (!attribute_holds_tensor(given) || !given->tensor) continue;
    made->tensor = region_allocate(node->graph->region, sizeof *made->tensor);
    if (!made->tensor) abort();
    value_share(made->tensor, given->tensor);
  }
}

/* The input that an earlier one is too, or the input itself. */
static int first_same(const driver_call *call, int index) {
  for (int i = 0; i < index; i++) {
    if (call->inputs[i] == call->inputs[index]) return i;
  }
  return index;
}

static void add_input(model_builder *builder, const driver_call *call, int index) {
  const value *input = call->inputs[index];
  char name[32];
  value_info info = value_info_of(input), item;
  snprintf(name, sizeof name, "i%d", index);
  info.shape = shape_unknown();
  if (info.kind != NORMA_VALUE_TENSOR) {
    if (norma_value_count(input) == 0) return;
    item = value_info_of(norma_value_element(input, input->kind == NORMA_VALUE_MAP ? 1 : 0));
    item.shape = shape_unknown();
    if (input->kind == NORMA_VALUE_MAP) info.type = input->list->items[0].tensor.type;
    info.item = &item;
  }
  builder_input_info(builder, name, &info);
}

static model_builder *build_call(const driver_call *call) {
  const bool other_domain = call->domain && call->domain[0];
  model_builder *builder = builder_create(other_domain ? 21 : call->opset);
  char inputs[DRIVER_MAX * 8] = "", outputs[DRIVER_MAX * 8] = "";
  size_t at = 0;
  if (other_domain) builder_import(builder, call->domain, call->opset);
  for (int i = 0; i < call->input_count; i++) {
    if (!call->inputs[i]) {
      at += (size_t)snprintf(inputs + at, sizeof inputs - at, "- ");
      continue;
    }
    at += (size_t)snprintf(inputs + at, sizeof inputs - at, "i%d ", first_same(call, i));
    if (first_same(call, i) == i) add_input(builder, call, i);
  }
  at = 0;
  for (int i = 0; i < call->output_count; i++) {
    const bool absent = call->absent_outputs >> i & 1;
    at += (size_t)(absent ? snprintf(outputs + at, sizeof outputs - at, "- ")
                          : snprintf(outputs + at, sizeof outputs - at, "o%d ", i));
  }
  node *node = builder_named_node(builder, "", other_domain ? call->domain : "", call->op_type, inputs, outputs);
  add_attributes(node, call);
  for (int i = 0; i < call->output_count; i++) {
    char name[32];
    snprintf(name, sizeof name, "o%d", i);
    if (!(call->absent_outputs >> i & 1)) builder_output(builder, name, NORMA_UNDEFINED, -1, NULL);
  }
  return builder;
}

static void write_file(const char *folder, const char *name, const void *bytes, size_t size) {
  char path[600];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "wb");
  if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) {
    fprintf(stderr, "call_keeper: %s cannot be written\n", path);
    abort();
  }
}

static void write_inputs(const char *folder, const driver_call *call) {
  memory memory;
  int written = 0;
  memory_init(&memory, NULL, 0);
  for (int i = 0; i < call->input_count; i++) {
    void *bytes;
    size_t size;
    char name[64];
    norma_error error;
    if (!call->inputs[i] || first_same(call, i) != i) continue;
    snprintf(name, sizeof name, "test_data_set_0/input_%d.pb", written++);
    if (value_write_memory(&memory, call->inputs[i], name, &bytes, &size, &error) != NORMA_OK) continue;
    write_file(folder, name, bytes, size);
    memory_free(&memory, bytes);
  }
}

/* Whether this program has kept fewer than `most` of that name so far. */
static bool may_keep(const char *folder, const char *name, int most) {
  for (int i = 0; i < most; i++) {
    char path[600];
    snprintf(path, sizeof path, "%s/.%s-%ld-%d", folder, name, (long)getpid(), i);
    FILE *mark = fopen(path, "wx");
    if (mark) return fclose(mark) == 0;
  }
  return false;
}

/* NULL: nothing is kept. */
static const char *keeping_folder(void) {
  const char *folder = getenv("NORMA_KEEP_CALLS");
  return folder && folder[0] && strlen(folder) <= 400 ? folder : NULL;
}

/* Makes FOLDER/NAME-HASH/test_data_set_0; false where it is there, or where there are many of that name. */
static bool make_folder(const char *folder, const char *name, const void *bytes, size_t size, int most, char *path) {
  char inner[PATH_BYTES + 40];
  snprintf(path, PATH_BYTES, "%s/%s-%016llx", folder, name, (unsigned long long)hash_of(bytes, size));
  snprintf(inner, sizeof inner, "%s/test_data_set_0", path);
  return access(path, F_OK) != 0 && may_keep(folder, name, most) && mkdir(path, 0777) == 0 && mkdir(inner, 0777) == 0;
}

void keep_built_model(const void *bytes, size_t size) {
  const char *folder = keeping_folder();
  char path[PATH_BYTES];
  if (!folder || size > MOST_BYTES_OF_MODEL) return;
  if (make_folder(folder, "built", bytes, size, MOST_BUILT_MODELS, path)) write_file(path, "model.onnx", bytes, size);
}

void keep_call(const driver_call *call) {
  const char *folder = keeping_folder();
  char path[PATH_BYTES];
  size_t size;
  if (!folder || !is_small(call)) return;
  model_builder *builder = build_call(call);
  const void *bytes = builder_bytes(builder, &size);
  if (make_folder(folder, call->op_type, bytes, size, MOST_CALLS_OF_OPERATOR, path)) {
    write_file(path, "model.onnx", bytes, size);
    write_inputs(path, call);
  }
  builder_destroy(builder);
}
