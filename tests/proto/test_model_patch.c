/* Patched models: what is changed, and that nothing else is, in every encoding that a tensor can have. */
#include "proto/model_patch.h"

#include "engine/execute/runtime.h"
#include "engine/base/whole_file.h"
#include "tests/support/failing_allocations.h"
#include "tests/support/model_reading.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* --------------------------------------------------------------------------------------------------- models by hand */

/* Field numbers of the messages in use. */
enum {
  MODEL_IR = 1,
  MODEL_GRAPH = 7,
  MODEL_OPSET = 8,
  GRAPH_NODE = 1,
  GRAPH_NAME = 2,
  GRAPH_INITIALIZER = 5,
  GRAPH_INPUT = 11,
  GRAPH_OUTPUT = 12,
  UNKNOWN = 900
};

static void add_unknown(byte_block *block, const char *text) {
  block_text(block, UNKNOWN, text);
}

typedef enum encoding { RAW, FLOATS_PACKED, FLOATS_SINGLE, HALF_RAW, HALF_INTS, DOUBLES, EXTERNAL, ENCODINGS } encoding;

static const float old_values[3] = {1, 2, 3}, new_values[3] = {-4, 0.5f, 6};

static norma_element_type type_of(encoding encoding) {
  return encoding == DOUBLES                             ? NORMA_DOUBLE
         : encoding == HALF_RAW || encoding == HALF_INTS ? NORMA_FLOAT16
                                                         : NORMA_FLOAT;
}

/* Three numbers as bytes of the type. */
static size_t elements_of(norma_element_type type, const float *values, void *bytes) {
  for (int i = 0; i < 3; i++) element_set_double(type, bytes, i, (double)values[i]);
  return 3 * element_type_bytes(type);
}

static void add_external(byte_block *tensor) {
  static const char *const entries[][2] = {{"location", "numbers.bin"}, {"offset", "4"}, {"length", "12"}};
  for (int i = 0; i < 3; i++) {
    byte_block *entry = block_new();
    block_text(entry, 1, entries[i][0]);
    block_text(entry, 2, entries[i][1]);
    block_message(tensor, 13, entry);
  }
  block_int(tensor, 14, 1);
}

/* A tensor of shape 3 with a comment and an unknown field around its contents. */
static byte_block *make_tensor(const char *name, encoding encoding) {
  byte_block *tensor = block_new();
  unsigned char bytes[24];
  norma_element_type type = type_of(encoding);
  size_t size = elements_of(type, old_values, bytes);
  block_int(tensor, 1, 3);
  block_int(tensor, 2, (uint64_t)type);
  block_text(tensor, 12, "a comment");
  if (encoding == RAW || encoding == HALF_RAW) block_field(tensor, 9, bytes, size);
  if (encoding == FLOATS_PACKED) block_field(tensor, 4, bytes, size);
  if (encoding == DOUBLES) block_field(tensor, 10, bytes, size);
  for (int i = 0; encoding == FLOATS_SINGLE && i < 3; i++) {
    block_tag(tensor, 4, 5);
    block_add(tensor, bytes + 4 * i, 4);
  }
  for (int i = 0; encoding == HALF_INTS && i < 3; i++) block_int(tensor, 5, ((uint16_t *)bytes)[i]);
  if (encoding == EXTERNAL) add_external(tensor);
  add_unknown(tensor, "of the tensor");
  if (name) block_text(tensor, 8, name);
  return tensor;
}

static byte_block *make_value(const char *name) {
  byte_block *value = block_new(), *type = block_new(), *tensor = block_new();
  block_int(tensor, 1, 1);
  block_message(type, 1, tensor);
  block_text(value, 1, name);
  block_message(value, 2, type);
  return value;
}

static byte_block *make_node(const char *op_type, const char *const *inputs, const char *output) {
  byte_block *node = block_new();
  for (; *inputs; inputs++) block_text(node, 1, *inputs);
  block_text(node, 2, output);
  block_text(node, 4, op_type);
  add_unknown(node, "of the node");
  return node;
}

/* y = (x + a) + c, where a is an initializer and c a Constant node. */
static byte_block *make_model(encoding encoding, uint64_t ir_version) {
  byte_block *model = block_new(), *graph = block_new(), *opset = block_new();
  block_int(opset, 2, 13);
  block_int(model, MODEL_IR, ir_version);
  add_unknown(model, "before the graph");
  byte_block *constant = make_node("Constant", (const char *const[]){NULL}, "c"), *attribute = block_new();
  block_text(attribute, 1, "value");
  block_message(attribute, 5, make_tensor(NULL, encoding));
  block_int(attribute, 20, 4);
  block_message(constant, 5, attribute);
  block_text(graph, GRAPH_NAME, "g");
  block_message(graph, GRAPH_INITIALIZER, make_tensor("a", encoding));
  add_unknown(graph, "of the graph");
  block_message(graph, GRAPH_NODE, constant);
  block_message(graph, GRAPH_NODE, make_node("Add", (const char *const[]){"x", "a", NULL}, "s"));
  block_message(graph, GRAPH_NODE, make_node("Add", (const char *const[]){"s", "c", NULL}, "y"));
  block_message(graph, GRAPH_INPUT, make_value("x"));
  if (ir_version < 4) block_message(graph, GRAPH_INPUT, make_value("a"));
  block_message(graph, GRAPH_OUTPUT, make_value("y"));
  block_message(model, MODEL_GRAPH, graph);
  block_message(model, MODEL_OPSET, opset);
  add_unknown(model, "behind the graph");
  return model;
}

/* ------------------------------------------------------------------------------------------------------ scaffolding */

typedef struct fixture {
  char folder[64], path[96], output[96];
  memory memory;
} fixture;

static void write_file(const char *path, const void *bytes, size_t size) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, size, file), size);
  assert_int_equal(fclose(file), 0);
}

static void *read_file(const char *path, size_t *size) {
  struct stat facts;
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  assert_int_equal(fstat(fileno(file), &facts), 0);
  *size = (size_t)facts.st_size;
  void *bytes = malloc(*size + 1);
  assert_non_null(bytes);
  assert_int_equal(fread(bytes, 1, *size, file), *size);
  fclose(file);
  return bytes;
}

static fixture *open_fixture(void) {
  fixture *made = calloc(1, sizeof *made);
  assert_non_null(made);
  snprintf(made->folder, sizeof made->folder, "/tmp/norma_patch_XXXXXX");
  assert_non_null(mkdtemp(made->folder));
  snprintf(made->path, sizeof made->path, "%s/in.onnx", made->folder);
  snprintf(made->output, sizeof made->output, "%s/out.onnx", made->folder);
  memory_init(&made->memory, NULL, 0);
  return made;
}

static void close_fixture(fixture *made) {
  char command[128];
  assert_int_equal(atomic_load(&made->memory.used), 0);
  snprintf(command, sizeof command, "rm -rf '%s'", made->folder);
  assert_int_equal(system(command), 0);
  free(made);
}

static const wire_limits limits = {.max_nodes = 1000, .max_depth = 8};

static model_patch *open_model(fixture *made, encoding encoding, uint64_t ir_version) {
  byte_block *model = make_model(encoding, ir_version);
  float numbers[4] = {99, old_values[0], old_values[1], old_values[2]};
  char external[96];
  write_file(made->path, model->bytes, model->size);
  free(model);
  snprintf(external, sizeof external, "%s/numbers.bin", made->folder);
  write_file(external, numbers, sizeof numbers);
  model_patch *patch;
  norma_error error;
  if (model_patch_open(&made->memory, made->path, &limits, &patch, &error) != NORMA_OK) fail_msg("%s", error.message);
  return patch;
}

static void assert_contents(model_patch *patch, const char *name, norma_element_type type, const float *expected) {
  value contents = {0};
  norma_error error;
  if (model_patch_read(patch, name, &contents, &error) != NORMA_OK) fail_msg("%s", error.message);
  assert_int_equal(contents.tensor.type, type);
  assert_int_equal(norma_tensor_count(&contents.tensor), 3);
  for (int i = 0; i < 3; i++) {
    assert_true(element_get_double(type, contents.tensor.data, i) == (double)expected[i]);
  }
  value_clear(&contents);
}

static void replace(model_patch *patch, const char *name, norma_element_type type, const float *values) {
  unsigned char bytes[24];
  norma_tensor tensor;
  norma_error error;
  elements_of(type, values, bytes);
  assert_int_equal(norma_tensor_init(&tensor, type, 1, (int64_t[]){3}, bytes), NORMA_OK);
  if (model_patch_replace(patch, name, &tensor, &error) != NORMA_OK) fail_msg("%s", error.message);
}

/* ------------------------------------------------------------------------------------------------------------ tests */

/* Without a change every byte comes back. */
static void test_nothing_changed(void **unused) {
  (void)unused;
  for (int encoding = 0; encoding < ENCODINGS; encoding++) {
    fixture *made = open_fixture();
    model_patch *patch = open_model(made, encoding, 8);
    assert_int_equal(model_patch_save(patch, made->output, NULL), NORMA_OK);
    size_t before, after;
    void *in = read_file(made->path, &before), *out = read_file(made->output, &after);
    assert_int_equal(before, after);
    assert_memory_equal(in, out, before);
    free(in);
    free(out);
    model_patch_close(patch);
    close_fixture(made);
  }
}

/* The number of places where a text stands. */
static int count_text(const unsigned char *bytes, size_t size, const char *text) {
  int count = 0;
  for (size_t i = 0; i + strlen(text) <= size; i++) count += memcmp(bytes + i, text, strlen(text)) == 0;
  return count;
}

static void test_replace(void **unused) {
  (void)unused;
  for (int encoding = 0; encoding < ENCODINGS; encoding++) {
    fixture *made = open_fixture();
    norma_element_type type = type_of(encoding);
    model_patch *patch = open_model(made, encoding, 8), *again;
    for (int i = 0; i < 2; i++) {
      const char *name = i == 0 ? "a" : "c";
      assert_contents(patch, name, type, old_values);
      replace(patch, name, type, new_values);
      assert_contents(patch, name, type, new_values); /* seen at once */
    }
    uint64_t before = model_patch_fingerprint(patch);
    assert_int_equal(model_patch_save(patch, made->output, NULL), NORMA_OK);
    assert_int_equal(model_patch_open(&made->memory, made->output, &limits, &again, NULL), NORMA_OK);
    assert_contents(again, "a", type, new_values);
    assert_contents(again, "c", type, new_values);
    assert_true(model_patch_fingerprint(again) != before);
    /* putting the old contents back gives the file back, where the encoding could stay */
    replace(again, "a", type, old_values);
    replace(again, "c", type, old_values);
    char back[100];
    size_t size, back_size;
    snprintf(back, sizeof back, "%s/back.onnx", made->folder);
    assert_int_equal(model_patch_save(again, back, NULL), NORMA_OK);
    unsigned char *in = read_file(made->path, &size), *out = read_file(back, &back_size);
    if (encoding != FLOATS_SINGLE && encoding != HALF_INTS && encoding != EXTERNAL) {
      assert_int_equal(size, back_size);
      assert_memory_equal(in, out, size);
    }
    static const char *const kept[] = {"a comment",    "of the tensor",    "of the node",
                                       "of the graph", "before the graph", "behind the graph"};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
      assert_int_equal(count_text(out, back_size, kept[i]), count_text(in, size, kept[i]));
    }
    free(in);
    free(out);
    model_patch_close(again);
    model_patch_close(patch);
    close_fixture(made);
  }
}

/* A tensor gets a copy of its own, and one node reads it. */
static void test_add_and_connect(void **unused) {
  (void)unused;
  for (uint64_t ir_version = 3; ir_version <= 8; ir_version += 5) {
    fixture *made = open_fixture();
    model_patch *patch = open_model(made, RAW, ir_version);
    const char *name, *second;
    norma_tensor tensor;
    assert_int_equal(norma_tensor_init(&tensor, NORMA_FLOAT, 1, (int64_t[]){3}, (void *)(uintptr_t)new_values),
                     NORMA_OK);
    assert_int_equal(model_patch_add(patch, "s", &tensor, &name, NULL), NORMA_OK);
    assert_string_not_equal(name, "s"); /* taken by a value */
    assert_int_equal(model_patch_add(patch, "s", &tensor, &second, NULL), NORMA_OK);
    assert_string_not_equal(name, second);
    assert_int_equal(model_patch_set_input(patch, "y", 1, name, NULL), NORMA_OK);
    assert_int_equal(model_patch_set_input(patch, "y", 2, name, NULL), NORMA_ERROR_ARGUMENT);
    assert_int_equal(model_patch_set_input(patch, "z", 0, name, NULL), NORMA_ERROR_ARGUMENT);
    assert_int_equal(model_patch_save(patch, made->output, NULL), NORMA_OK);
    model_reading reading;
    reading_init(&reading, 0);
    if (reading_read_file(&reading, made->output) != NORMA_OK) fail_msg("%s", reading.error.message);
    const node *last = reading.model.graph->last;
    assert_string_equal(last->inputs[1]->name, name);
    const norma_tensor *read = norma_value_tensor(last->inputs[1]->constant);
    assert_memory_equal(read->data, new_values, sizeof new_values);
    assert_int_equal(reading.model.graph->input_count, ir_version < 4 ? 4 : 1);
    assert_int_equal(reading_release(&reading), 0);
    model_patch_close(patch);
    close_fixture(made);
  }
}

static void test_refusals(void **unused) {
  (void)unused;
  fixture *made = open_fixture();
  model_patch *patch = open_model(made, RAW, 8), *none;
  norma_tensor tensor;
  value contents = {0};
  norma_error error;
  double doubles[3] = {0};
  assert_int_equal(model_patch_read(patch, "x", &contents, &error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(model_patch_read(patch, "s", &contents, &error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_tensor_init(&tensor, NORMA_DOUBLE, 1, (int64_t[]){3}, doubles), NORMA_OK);
  assert_int_equal(model_patch_replace(patch, "a", &tensor, &error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_tensor_init(&tensor, NORMA_FLOAT, 1, (int64_t[]){2}, doubles), NORMA_OK);
  assert_int_equal(model_patch_replace(patch, "a", &tensor, &error), NORMA_ERROR_ARGUMENT);
  /* the file that was read, by its own name, by a link, by another path */
  char link_path[100], other[100];
  snprintf(link_path, sizeof link_path, "%s/link", made->folder);
  snprintf(other, sizeof other, "%s/./in.onnx", made->folder);
  assert_int_equal(symlink(made->path, link_path), 0);
  assert_int_equal(model_patch_save(patch, made->path, &error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(model_patch_save(patch, link_path, &error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(model_patch_save(patch, other, &error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(model_patch_save(patch, made->folder, &error), NORMA_ERROR_FILE);
  assert_int_equal(model_patch_save(patch, "/dev/null", &error), NORMA_ERROR_FILE);
  model_patch_close(patch);
  write_file(made->path, "\x3a\x05 no", 5);
  assert_int_equal(model_patch_open(&made->memory, made->path, &limits, &none, &error), NORMA_ERROR_FORMAT);
  assert_null(none);
  close_fixture(made);
}

/* Saved elsewhere, the model takes its external file along; one with other contents is not overwritten. */
static void test_external_elsewhere(void **unused) {
  (void)unused;
  fixture *made = open_fixture();
  model_patch *patch = open_model(made, EXTERNAL, 8), *again;
  char folder[100], path[120], external[120];
  snprintf(folder, sizeof folder, "%s/other", made->folder);
  snprintf(path, sizeof path, "%s/out.onnx", folder);
  snprintf(external, sizeof external, "%s/numbers.bin", folder);
  assert_int_equal(mkdir(folder, 0700), 0);
  write_file(external, "something else!!", 16);
  norma_error error;
  assert_int_equal(model_patch_save(patch, path, &error), NORMA_ERROR_FILE);
  assert_non_null(strstr(error.message, "numbers.bin"));
  assert_int_not_equal(access(path, F_OK), 0);
  assert_int_equal(unlink(external), 0);
  replace(patch, "c", NORMA_FLOAT, new_values); /* no longer external */
  assert_int_equal(model_patch_save(patch, path, &error), NORMA_OK);
  assert_int_equal(model_patch_open(&made->memory, path, &limits, &again, NULL), NORMA_OK);
  assert_contents(again, "a", NORMA_FLOAT, old_values);
  assert_contents(again, "c", NORMA_FLOAT, new_values);
  model_patch_close(again);
  assert_int_equal(model_patch_save(patch, path, &error), NORMA_OK); /* the file that is there is the same */
  model_patch_close(patch);
  close_fixture(made);
}

/* The field that holds typed numbers of this type. */
static unsigned typed_field(norma_element_type type) {
  switch (type) {
  case NORMA_FLOAT:
  case NORMA_COMPLEX64:
    return 4;
  case NORMA_DOUBLE:
  case NORMA_COMPLEX128:
    return 10;
  case NORMA_INT64:
    return 7;
  case NORMA_UINT32:
  case NORMA_UINT64:
    return 11;
  default:
    return 5;
  }
}

/* A graph of one initializer "a": five zeros, as typed numbers. */
static byte_block *make_typed_model(norma_element_type type) {
  byte_block *model = block_new(), *graph = block_new(), *tensor = block_new(), *numbers = block_new();
  static const unsigned char zeros[80] = {0};
  const int bits = element_type_bits(type);
  const unsigned field = typed_field(type);
  const size_t units = bits == 4 ? 3 : bits == 2 ? 2 : 5;
  block_add(numbers, zeros, field == 4 || field == 10 ? 5 * (size_t)bits / 8 : units);
  block_int(tensor, 1, 5);
  block_int(tensor, 2, (uint64_t)type);
  block_message(tensor, field, numbers);
  block_text(tensor, 8, "a");
  block_message(graph, GRAPH_INITIALIZER, tensor);
  block_int(model, MODEL_IR, 8);
  block_message(model, MODEL_GRAPH, graph);
  return model;
}

/* Contents of every type, as typed numbers: seen at once, and in the file, in the same field. */
static void test_typed_numbers(void **unused) {
  (void)unused;
  for (int type = 1; type < 40; type++) {
    if (!element_type_exists((norma_element_type)type) || type == NORMA_STRING) continue;
    fixture *made = open_fixture();
    byte_block *model = make_typed_model((norma_element_type)type);
    model_patch *patch, *again;
    norma_error error;
    norma_tensor tensor;
    value read = {0};
    unsigned char bytes[80];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(type == NORMA_BOOL ? i % 2 : 0xF1 + i * 29);
    const int bits = element_type_bits((norma_element_type)type);
    if (bits < 8) bytes[(5 * bits - 1) / 8] &= (unsigned char)((1 << ((5 * bits - 1) % 8 + 1)) - 1); /* no stray bits */
    write_file(made->path, model->bytes, model->size);
    assert_int_equal(norma_tensor_init(&tensor, (norma_element_type)type, 1, (int64_t[]){5}, bytes), NORMA_OK);
    assert_int_equal(model_patch_open(&made->memory, made->path, &limits, &patch, &error), NORMA_OK);
    if (model_patch_replace(patch, "a", &tensor, &error) != NORMA_OK) fail_msg("type %d: %s", type, error.message);
    assert_int_equal(model_patch_save(patch, made->output, &error), NORMA_OK);
    assert_int_equal(model_patch_open(&made->memory, made->output, &limits, &again, &error), NORMA_OK);
    for (int i = 0; i < 2; i++) {
      if (model_patch_read(i ? again : patch, "a", &read, &error) != NORMA_OK) {
        fail_msg("type %d: %s", type, error.message);
      }
      assert_int_equal(read.tensor.type, type);
      assert_int_equal(read.tensor.size_bytes, tensor.size_bytes);
      if (memcmp(read.tensor.data, bytes, tensor.size_bytes) != 0) fail_msg("type %d has other contents", type);
      value_clear(&read);
    }
    size_t size;
    unsigned char *out = read_file(made->output, &size);
    assert_int_equal(
        count_text(out, size, (const char[]){(char)(typed_field((norma_element_type)type) << 3 | 2), 0}) > 0, 1);
    free(out);
    model_patch_close(patch);
    model_patch_close(again);
    free(model);
    close_fixture(made);
  }
}

/* A name is taken by whatever the graph calls so, a sparse initializer that nobody reads among them. */
static void test_names_of_new_tensors(void **unused) {
  (void)unused;
  fixture *made = open_fixture();
  byte_block *model = block_new(), *graph = block_new(), *sparse = block_new();
  block_message(sparse, 1, make_tensor("sparse", RAW));
  block_message(graph, 15, sparse);
  block_message(graph, GRAPH_INITIALIZER, make_tensor("a", RAW));
  block_message(graph, GRAPH_INPUT, make_value("x"));
  block_message(graph, GRAPH_OUTPUT, make_value("x"));
  block_int(model, MODEL_IR, 8);
  block_message(model, MODEL_GRAPH, graph);
  write_file(made->path, model->bytes, model->size);
  model_patch *patch;
  norma_tensor tensor;
  norma_error error;
  norma_tensor_init(&tensor, NORMA_FLOAT, 1, (int64_t[]){3}, (void *)(uintptr_t)new_values);
  assert_int_equal(model_patch_open(&made->memory, made->path, &limits, &patch, &error), NORMA_OK);
  static const char *const taken[] = {"sparse", "a", "x"};
  for (int i = 0; i < 3; i++) {
    const char *name;
    assert_int_equal(model_patch_add(patch, taken[i], &tensor, &name, &error), NORMA_OK);
    assert_string_not_equal(name, taken[i]);
    assert_int_equal(strncmp(name, taken[i], strlen(taken[i])), 0);
  }
  norma_string strings[1] = {{"a", 1}};
  const char *name;
  norma_tensor_init(&tensor, NORMA_STRING, 1, (int64_t[]){1}, strings);
  assert_int_equal(model_patch_add(patch, "text", &tensor, &name, &error), NORMA_ERROR_ARGUMENT);
  model_patch_close(patch);
  free(model);
  close_fixture(made);
}

typedef struct patched {
  fixture *made;
  encoding encoding;
} patched;

static norma_status patch_in(void *context, const norma_allocator *allocator, norma_error *error) {
  const patched *patched = context;
  memory memory;
  model_patch *patch;
  norma_tensor tensor;
  unsigned char bytes[24];
  const char *name;
  const norma_element_type type = type_of(patched->encoding);
  memory_init(&memory, allocator, 0);
  elements_of(type, new_values, bytes);
  norma_tensor_init(&tensor, type, 1, (int64_t[]){3}, bytes);
  remove(patched->made->output);
  norma_status status = model_patch_open(&memory, patched->made->path, &limits, &patch, error);
  if (status == NORMA_OK) status = model_patch_replace(patch, "a", &tensor, error);
  if (status == NORMA_OK) status = model_patch_replace(patch, "c", &tensor, error);
  if (status == NORMA_OK) status = model_patch_add(patch, "n", &tensor, &name, error);
  if (status == NORMA_OK) status = model_patch_set_input(patch, "y", 1, name, error);
  if (status == NORMA_OK) status = model_patch_set_int(patch, "y", "i", 7, error);
  if (status == NORMA_OK) status = model_patch_keep_inputs(patch, "s", 1, error);
  if (status == NORMA_OK) status = model_patch_remove_attribute(patch, "y", "i", error);
  if (status == NORMA_OK) status = model_patch_save(patch, patched->made->output, error);
  model_patch_close(patch);
  assert_int_equal(atomic_load(&memory.used), 0);
  assert_int_equal(access(patched->made->output, F_OK) == 0, status == NORMA_OK);
  return status;
}

/* One that fails alone must not leave a gap in what is written. */
static void test_single_failures(void **unused) {
  (void)unused;
  for (int encoding = 0; encoding < ENCODINGS; encoding++) {
    patched patched = {open_fixture(), (enum encoding)encoding};
    model_patch_close(open_model(patched.made, patched.encoding, 3));
    assert_int_equal(fail_each_allocation(patch_in, &patched), 0);
    close_fixture(patched.made);
  }
}

static bool refuse(void *context, const void *bytes, size_t count) {
  (void)bytes;
  size_t *left = context;
  if (count > *left) return false;
  *left -= count;
  return true;
}

static void test_writing_fails(void **unused) {
  (void)unused;
  fixture *made = open_fixture();
  model_patch *patch = open_model(made, RAW, 8);
  replace(patch, "a", NORMA_FLOAT, new_values);
  for (size_t room = 0; room < 200; room += 7) {
    size_t left = room;
    assert_int_equal(model_patch_write(patch, refuse, &left, NULL), NORMA_ERROR_FILE);
  }
  model_patch_close(patch);
  close_fixture(made);
}

/* A budget that shrinks step by step: every allocation fails once, nothing leaks, nothing is left behind. */
static void test_failing_memory(void **unused) {
  (void)unused;
  bool done = false;
  for (size_t limit = 1000; !done; limit += 600) {
    fixture *made = open_fixture();
    model_patch *patch = open_model(made, RAW, 8);
    model_patch_close(patch);
    made->memory.limit = limit;
    norma_tensor tensor;
    assert_int_equal(norma_tensor_init(&tensor, NORMA_FLOAT, 1, (int64_t[]){3}, (void *)(uintptr_t)new_values),
                     NORMA_OK);
    const char *name;
    norma_status status = model_patch_open(&made->memory, made->path, &limits, &patch, NULL);
    if (status == NORMA_OK) status = model_patch_replace(patch, "a", &tensor, NULL);
    if (status == NORMA_OK) status = model_patch_add(patch, "n", &tensor, &name, NULL);
    if (status == NORMA_OK) status = model_patch_save(patch, made->output, NULL);
    model_patch_close(patch);
    done = status == NORMA_OK;
    if (!done) {
      assert_int_equal(status, NORMA_ERROR_BUDGET);
      assert_int_not_equal(access(made->output, F_OK), 0);
    }
    close_fixture(made);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_nothing_changed),      cmocka_unit_test(test_replace),
      cmocka_unit_test(test_add_and_connect),      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_external_elsewhere),   cmocka_unit_test(test_writing_fails),
      cmocka_unit_test(test_failing_memory),       cmocka_unit_test(test_typed_numbers),
      cmocka_unit_test(test_names_of_new_tensors), cmocka_unit_test(test_single_failures),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
