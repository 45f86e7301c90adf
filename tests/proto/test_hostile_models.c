/* Bytes that are no good model: cut off anywhere, changed anywhere, nested, repeated; and memory that runs out at any
 * moment. The reader must answer with a status, leave nothing behind, and read the good model afterwards. */
#include "tests/support/model_builder.h"
#include "tests/support/model_reading.h"

#include "proto/onnx.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <pthread.h>

#include <cmocka.h>

/* A model with most of what a file can hold. */
static model_builder *rich_model(void) {
  static float weights[512];
  model_builder *b = builder_create(17);
  builder_import(b, "ai.onnx.ml", 3);
  builder_metadata(b, "author", "test");
  graph_value *x = builder_input(b, "x", NORMA_FLOAT, 4, (int64_t[]){-1, 1, 8, 8});
  builder_dim_name(b, x, 0, "batch");
  builder_floats(b, "w", 4, (int64_t[]){2, 1, 16, 16}, weights); /* large enough to be cut out */
  builder_strings(b, "s", 1, (int64_t[]){2}, (const char *const[]){"cat", "dog"});
  builder_initializer(b, "c", NORMA_BOOL, 0, NULL, "\1");
  node *conv = builder_node(b, "Conv", "x w -", "y");
  builder_ints(conv, "pads", 4, (int64_t[]){8, 8, 8, 8});
  builder_string(conv, "auto_pad", "NOTSET");
  node *constant = builder_node(b, "Constant", "", "k");
  builder_tensor(constant, "value", NORMA_INT64, 1, (int64_t[]){2}, (int64_t[]){3, 4});
  node *branch = builder_node(b, "If", "c", "z");
  model_builder *then_branch = builder_subgraph(b, branch, "then_branch");
  builder_node(then_branch, "Relu", "y", "t");
  builder_output(then_branch, "t", NORMA_FLOAT, -1, NULL);
  model_builder *else_branch = builder_subgraph(b, branch, "else_branch");
  builder_node(else_branch, "Neg", "y", "e");
  builder_output(else_branch, "e", NORMA_FLOAT, -1, NULL);
  node *labels = builder_named_node(b, "labels", "ai.onnx.ml", "LabelEncoder", "s", "l");
  builder_string_list(labels, "keys_strings", 2, (const char *const[]){"cat", "dog"});
  builder_float_list(labels, "values_floats", 2, (float[]){1, 2});
  builder_output(b, "z", NORMA_FLOAT, 1, (int64_t[]){-1});
  builder_output(b, "l", NORMA_FLOAT, -1, NULL);
  return b;
}

/* The rich model's bytes followed by a function and a call of it (messages of the same type join when they follow). */
static void add_function(byte_block *block) {
  Onnx__NodeProto inner = ONNX__NODE_PROTO__INIT;
  char *names[] = {"a"}, *results[] = {"b"}, *attributes[] = {"alpha"};
  Onnx__AttributeProto reference = ONNX__ATTRIBUTE_PROTO__INIT;
  Onnx__AttributeProto *references[] = {&reference};
  reference.name = "alpha";
  reference.ref_attr_name = "alpha";
  inner.op_type = "LeakyRelu";
  inner.n_input = inner.n_output = 1;
  inner.input = names;
  inner.output = results;
  inner.n_attribute = 1;
  inner.attribute = references;
  Onnx__NodeProto *nodes[] = {&inner};
  Onnx__OperatorSetIdProto opset = ONNX__OPERATOR_SET_ID_PROTO__INIT;
  Onnx__OperatorSetIdProto *opsets[] = {&opset};
  opset.domain = "";
  opset.has_version = 1;
  opset.version = 17;
  Onnx__FunctionProto function = ONNX__FUNCTION_PROTO__INIT;
  function.name = "Relu"; /* replaces the operator of the subgraph */
  function.n_input = function.n_output = 1;
  function.input = names;
  function.output = results;
  function.n_attribute = 1;
  function.attribute = attributes;
  function.n_node = 1;
  function.node = nodes;
  function.n_opset_import = 1;
  function.opset_import = opsets;
  unsigned char packed[1024];
  size_t size = onnx__function_proto__pack(&function, packed);
  block_field(block, 25, packed, size);
}

static byte_block rich_bytes;

static int make_rich_bytes(void **state) {
  (void)state;
  size_t size;
  model_builder *b = rich_model();
  const void *bytes = builder_bytes(b, &size);
  block_add(&rich_bytes, bytes, size);
  add_function(&rich_bytes);
  builder_destroy(b);
  return 0;
}

/* Reads, and checks that status and error agree and that nothing is left. */
static norma_status read_anything(model_reading *reading, const void *bytes, size_t size) {
  norma_status status = reading_read(reading, bytes, size);
  assert_true(status == NORMA_OK || reading->error.status == status);
  assert_true(status == NORMA_OK || reading->error.message[0] != '\0');
  assert_true((status == NORMA_OK) == (reading->model.graph != NULL));
  assert_int_not_equal(status, NORMA_ERROR_INTERNAL);
  assert_int_equal(reading_release(reading), 0);
  return status;
}

static void good_model_is_read(void **state) {
  (void)state;
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(reading_read(&reading, rich_bytes.bytes, rich_bytes.size), NORMA_OK);
  assert_int_equal(reading.model.graph->node_count, 4);
  assert_int_equal(reading.model.function_count, 1);
  const node *branch = reading_node(&reading, "If");
  assert_string_equal(attribute_graph(branch, "then_branch")->first->op_type, "LeakyRelu");
  assert_int_equal(reading_release(&reading), 0);
}

static void truncation_anywhere(void **state) {
  (void)state;
  model_reading reading;
  reading_init(&reading, 0);
  for (size_t size = 0; size < rich_bytes.size; size++) {
    unsigned char *copy = malloc(size ? size : 1); /* exactly as long, so that a sanitizer sees what is read beyond */
    assert_non_null(copy);
    memcpy(copy, rich_bytes.bytes, size);
    norma_status status = read_anything(&reading, copy, size);
    free(copy);
    /* Cut between two fields of the outermost message, only what follows is missing: still refused until the graph is
     * in. */
    if (status == NORMA_OK) assert_true(size > rich_bytes.size / 2);
  }
}

static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

static void mutate(unsigned char *bytes, size_t size) {
  static const unsigned char favourites[] = {0, 1, 2, 0x7F, 0x80, 0xFF, 8, 10, 18};
  for (uint64_t changes = 1 + next_random() % 4; changes > 0; changes--) {
    size_t at = (size_t)(next_random() % size);
    switch (next_random() % 4) {
    case 0:
      bytes[at] = (unsigned char)(bytes[at] ^ 1u << next_random() % 8);
      break;
    case 1:
      bytes[at] = favourites[next_random() % sizeof favourites];
      break;
    case 2:
      bytes[at] = (unsigned char)next_random();
      break;
    default: { /* a piece of it elsewhere */
      size_t length = (size_t)(next_random() % 24), from = (size_t)(next_random() % size);
      if (length > size - at) length = size - at;
      if (length > size - from) length = size - from;
      memmove(bytes + at, bytes + from, length);
    }
    }
  }
}

static void random_changes(void **state) {
  (void)state;
  model_reading reading;
  reading_init(&reading, 64 << 20);
  unsigned char *copy = malloc(rich_bytes.size);
  assert_non_null(copy);
  size_t read = 0, rounds = 30000;
  for (size_t i = 0; i < rounds; i++) {
    memcpy(copy, rich_bytes.bytes, rich_bytes.size);
    mutate(copy, rich_bytes.size);
    read += read_anything(&reading, copy, rich_bytes.size) == NORMA_OK;
  }
  free(copy);
  assert_true(read > rounds / 50 &&
              read < rounds / 2 + rounds / 4); /* most weights may change, most structure may not */
}

static void every_allocation_may_fail(void **state) {
  (void)state;
  model_reading reading;
  for (int once = 0; once < 2; once++) {
    for (size_t k = 1;; k++) {
      reading_init(&reading, 0);
      reading.fail_at = k;
      reading.fail_once = once;
      norma_status status = read_anything(&reading, rich_bytes.bytes, rich_bytes.size);
      if (reading.allocations < k) {
        assert_int_equal(status, NORMA_OK);
        assert_true(k > 10);
        break;
      }
      assert_int_equal(status, NORMA_ERROR_OUT_OF_MEMORY);
    }
  }
}

static void memory_budget_holds(void **state) {
  (void)state;
  model_reading reading;
  norma_status status = NORMA_ERROR_BUDGET;
  for (size_t limit = 1024; status != NORMA_OK; limit += 1024) {
    reading_init(&reading, limit);
    status = read_anything(&reading, rich_bytes.bytes, rich_bytes.size);
    assert_true(status == NORMA_OK || status == NORMA_ERROR_BUDGET);
    assert_true(atomic_load(&reading.memory.peak) <= limit);
    assert_true(limit < 1 << 20);
  }
}

/* Puts what stands in the block into a field of a new message. */
static void wrap(byte_block *block, unsigned field) {
  static byte_block inner;
  inner = *block;
  block->size = 0;
  block_field(block, field, inner.bytes, inner.size);
}

static void deep_nesting_is_refused(void **state) {
  (void)state;
  static byte_block block;
  model_reading reading;
  reading_init(&reading, 0);
  for (int depth = 0; depth < 400; depth++) {
    wrap(&block, 6); /* AttributeProto.g */
    wrap(&block, 5); /* NodeProto.attribute */
    wrap(&block, 1); /* GraphProto.node */
  }
  wrap(&block, 7); /* ModelProto.graph */
  assert_int_equal(read_anything(&reading, block.bytes, block.size), NORMA_ERROR_BUDGET);
  assert_non_null(strstr(reading.error.message, "nested"));

  block.size = 0; /* sequences of sequences, as the type of an input */
  for (int depth = 0; depth < 400; depth++) {
    wrap(&block, 1);
    wrap(&block, 4);
  }
  wrap(&block, 2);
  wrap(&block, 11);
  wrap(&block, 7);
  assert_int_equal(read_anything(&reading, block.bytes, block.size), NORMA_ERROR_BUDGET);
}

static void repeated_graphs_are_refused(void **state) {
  (void)state;
  byte_block *block = calloc(1, sizeof *block);
  assert_non_null(block);
  model_reading reading;
  reading_init(&reading, 0);
  for (int i = 0; i < 1000; i++) block_field(block, 7, "", 0);
  assert_int_equal(read_anything(&reading, block->bytes, block->size), NORMA_ERROR_FORMAT);
  assert_non_null(strstr(reading.error.message, "graph"));
  free(block);
}

static void too_many_nodes_are_refused(void **state) {
  (void)state;
  model_reading reading;
  reading_init(&reading, 0);
  reading.options.max_nodes = 3;
  assert_int_equal(read_anything(&reading, rich_bytes.bytes, rich_bytes.size), NORMA_ERROR_BUDGET);
  assert_non_null(strstr(reading.error.message, "nodes"));
}

/* The deepest model that the default budget allows, read on a small stack. */
static void *read_deep_model(void *argument) {
  model_reading *reading = argument;
  model_builder *b = builder_create(17), *at = b;
  builder_input(b, "c", NORMA_BOOL, 0, NULL);
  for (int depth = 0; depth < reading->options.max_depth; depth++) {
    node *branch = builder_node(at, "If", "c", "y");
    builder_output(at, "y", NORMA_UNDEFINED, -1, NULL);
    at = builder_subgraph(at, branch, "then_branch");
  }
  builder_floats(at, "w", 1, (int64_t[]){2}, (float[]){1, 2});
  builder_output(at, "w", NORMA_UNDEFINED, -1, NULL);
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  norma_status status = reading_read(reading, bytes, size);
  builder_destroy(b);
  return status == NORMA_OK ? reading : NULL;
}

static void small_stack_is_enough(void **state) {
  (void)state;
  model_reading reading;
  reading_init(&reading, 0);
  reading.options.max_depth = 32;
  pthread_t thread;
  pthread_attr_t attributes;
  void *result;
  assert_int_equal(pthread_attr_init(&attributes), 0);
  assert_int_equal(pthread_attr_setstacksize(&attributes, 256 * 1024), 0);
  assert_int_equal(pthread_create(&thread, &attributes, read_deep_model, &reading), 0);
  assert_int_equal(pthread_join(thread, &result), 0);
  pthread_attr_destroy(&attributes);
  assert_non_null(result);
  assert_int_equal(reading_release(&reading), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(good_model_is_read),
      cmocka_unit_test(truncation_anywhere),
      cmocka_unit_test(random_changes),
      cmocka_unit_test(every_allocation_may_fail),
      cmocka_unit_test(memory_budget_holds),
      cmocka_unit_test(deep_nesting_is_refused),
      cmocka_unit_test(repeated_graphs_are_refused),
      cmocka_unit_test(too_many_nodes_are_refused),
      cmocka_unit_test(small_stack_is_enough),
  };
  return cmocka_run_group_tests_name("hostile models", tests, make_rich_bytes, NULL);
}
