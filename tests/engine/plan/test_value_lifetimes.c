/* Memory that plans share and give back. Random graphs of Relu, Neg, Add, Reshape and Concat give what they give when
 * computed value by value, whatever lies inside whatever. */
#include "tests/support/model_builder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define INNER       8 /* elements of a channel */
#define MOST_VALUES 40

typedef struct random_value {
  int64_t channels;
  float *data; /* [channels][INNER] */
} random_value;

typedef struct random_graph {
  model_builder *builder;
  random_value values[MOST_VALUES];
  int count;
  unsigned seed;
} random_graph;

static int random_below(random_graph *graph, int n) {
  graph->seed = graph->seed * 1664525u + 1013904223u;
  return (int)((graph->seed >> 8) % (unsigned)n);
}

static random_value *add_value(random_graph *graph, int64_t channels) {
  random_value *value = &graph->values[graph->count++];
  value->channels = channels;
  value->data = malloc((size_t)channels * INNER * sizeof(float));
  assert_non_null(value->data);
  return value;
}

static void add_elementwise(random_graph *graph, const char *type, int from, int with) {
  char inputs[32], output[16];
  const random_value *x = &graph->values[from], *z = &graph->values[with];
  snprintf(output, sizeof output, "v%d", graph->count);
  if (strcmp(type, "Add") == 0)
    snprintf(inputs, sizeof inputs, "v%d v%d", from, with);
  else
    snprintf(inputs, sizeof inputs, "v%d", from);
  builder_node(graph->builder, type, inputs, output);
  random_value *y = add_value(graph, x->channels);
  for (int64_t i = 0; i < x->channels * INNER; i++) {
    float a = x->data[i];
    y->data[i] = type[0] == 'A' ? a + z->data[i] : type[0] == 'N' ? -a : type[0] == 'R' && a < 0 ? 0 : a;
  }
}

static void add_reshape(random_graph *graph, int from) {
  char inputs[32], output[16];
  snprintf(output, sizeof output, "v%d", graph->count);
  snprintf(inputs, sizeof inputs, "v%d shape", from);
  builder_node(graph->builder, "Reshape", inputs, output);
  random_value *y = add_value(graph, graph->values[from].channels);
  memcpy(y->data, graph->values[from].data, (size_t)y->channels * INNER * sizeof(float));
}

static void add_concat(random_graph *graph, int parts) {
  char inputs[64] = "", output[16];
  int64_t channels = 0, done = 0;
  int from[3];
  snprintf(output, sizeof output, "v%d", graph->count);
  for (int i = 0; i < parts; i++) {
    from[i] = random_below(graph, graph->count);
    snprintf(inputs + strlen(inputs), sizeof inputs - strlen(inputs), "%sv%d", i ? " " : "", from[i]);
    channels += graph->values[from[i]].channels;
  }
  builder_int(builder_node(graph->builder, "Concat", inputs, output), "axis", 1);
  random_value *y = add_value(graph, channels);
  for (int i = 0; i < parts; i++) {
    const random_value *x = &graph->values[from[i]];
    memcpy(y->data + done * INNER, x->data, (size_t)x->channels * INNER * sizeof(float));
    done += x->channels;
  }
}

static int same_channels(random_graph *graph, int as) {
  int from = random_below(graph, graph->count);
  return graph->values[from].channels == graph->values[as].channels ? from : as;
}

static void make_graph(random_graph *graph, unsigned seed) {
  *graph = (random_graph){.builder = builder_create(17), .seed = seed};
  int64_t channels = 1 + random_below(graph, 3);
  builder_input(graph->builder, "v0", NORMA_FLOAT, 3, (int64_t[]){1, channels, INNER});
  builder_ints64(graph->builder, "shape", 1, (int64_t[]){3}, (int64_t[]){1, -1, INNER});
  random_value *x = add_value(graph, channels);
  for (int64_t i = 0; i < channels * INNER; i++) x->data[i] = (float)(random_below(graph, 2000) - 1000);
  while (graph->count < MOST_VALUES - 1) {
    int from = graph->count - 1 - random_below(graph, graph->count < 6 ? graph->count : 6);
    switch (random_below(graph, 6)) {
    case 0:
      add_elementwise(graph, "Relu", from, from);
      break;
    case 1:
      add_elementwise(graph, "Neg", from, from);
      break;
    case 2:
      add_elementwise(graph, "Add", from, same_channels(graph, from));
      break;
    case 3:
      add_reshape(graph, from);
      break;
    default:
      if (graph->values[graph->count - 1].channels < 200) add_concat(graph, 2 + random_below(graph, 2));
      break;
    }
  }
}

static norma_session *open_session(random_graph *graph, norma_optimization level, norma_model **model) {
  norma_error error;
  norma_session *session;
  norma_load_options options = {.struct_size = sizeof options, .optimization = level};
  size_t size;
  const void *bytes = builder_bytes(graph->builder, &size);
  assert_int_equal(norma_model_load_memory(bytes, size, &options, model, &error), NORMA_OK);
  assert_int_equal(norma_session_create(*model, NULL, &session, &error), NORMA_OK);
  norma_tensor x;
  const int64_t dims[] = {1, graph->values[0].channels, INNER};
  norma_tensor_init(&x, NORMA_FLOAT, 3, dims, graph->values[0].data);
  assert_int_equal(norma_session_set_input(session, NULL, &x, &error), NORMA_OK);
  return session;
}

static void check_outputs(random_graph *graph, norma_session *session, const int *outputs, int count) {
  norma_error error;
  for (int run = 0; run < 2; run++) {
    assert_int_equal(norma_session_run(session, &error), NORMA_OK);
    for (int i = 0; i < count; i++) {
      const random_value *expected = &graph->values[outputs[i]];
      const norma_tensor *y = norma_value_tensor(norma_session_output(session, (size_t)i));
      assert_int_equal(y->dims[1], expected->channels);
      for (int64_t j = 0; j < expected->channels * INNER; j++) /* by value: Relu may change the sign of a zero */
        assert_true(((const float *)y->data)[j] == expected->data[j]);
    }
  }
}

static void random_graphs_give_what_they_should(void **state) {
  (void)state;
  for (unsigned seed = 1; seed <= 300; seed++) {
    random_graph graph;
    make_graph(&graph, seed);
    int outputs[4], count = 1 + random_below(&graph, 3);
    for (int i = 0; i < count; i++) {
      char name[16];
      outputs[i] = i ? 1 + random_below(&graph, graph.count - 1) : graph.count - 1;
      for (int j = 0; j < i; j++) {
        if (outputs[j] == outputs[i]) count = i; /* an output is there once */
      }
      snprintf(name, sizeof name, "v%d", outputs[i]);
      if (i < count) builder_output(graph.builder, name, NORMA_FLOAT, -1, NULL);
    }
    for (norma_optimization level = NORMA_OPTIMIZE_NONE; level <= NORMA_OPTIMIZE_FULL; level++) {
      norma_model *model;
      norma_session *session = open_session(&graph, level, &model);
      check_outputs(&graph, session, outputs, count);
      norma_session_destroy(session);
      norma_model_destroy(model);
    }
    builder_destroy(graph.builder);
    for (int i = 0; i < graph.count; i++) free(graph.values[i].data);
  }
}

/* y = Concat(Relu x, Neg x), of which each half is written in place: nothing but y needs memory. */
static void parts_are_written_into_the_whole(void **state) {
  (void)state;
  random_graph graph = {.builder = builder_create(17), .seed = 1};
  builder_input(graph.builder, "v0", NORMA_FLOAT, 3, (int64_t[]){1, 100, INNER});
  random_value *x = add_value(&graph, 100);
  for (int i = 0; i < 100 * INNER; i++) x->data[i] = (float)(random_below(&graph, 2000) - 1000);
  add_elementwise(&graph, "Relu", 0, 0);
  add_elementwise(&graph, "Neg", 0, 0);
  builder_int(builder_node(graph.builder, "Concat", "v1 v2", "v3"), "axis", 1);
  random_value *y = add_value(&graph, 200);
  memcpy(y->data, graph.values[1].data, 100 * INNER * sizeof(float));
  memcpy(y->data + 100 * INNER, graph.values[2].data, 100 * INNER * sizeof(float));
  builder_output(graph.builder, "v3", NORMA_FLOAT, -1, NULL);
  norma_model *model;
  norma_session *session = open_session(&graph, NORMA_OPTIMIZE_NONE, &model);
  check_outputs(&graph, session, (int[]){3}, 1);
  assert_int_equal(norma_session_arena_bytes(session), 200 * INNER * sizeof(float));
  float *own = aligned_alloc(64, 200 * INNER * sizeof(float)); /* the same in the caller's memory */
  norma_error error;
  assert_int_equal(norma_session_bind_output(session, 0, own, 200 * INNER * sizeof(float), &error), NORMA_OK);
  check_outputs(&graph, session, (int[]){3}, 1);
  for (int i = 0; i < 200 * INNER; i++) assert_true(own[i] == y->data[i]);
  norma_session_destroy(session);
  norma_model_destroy(model);
  builder_destroy(graph.builder);
  for (int i = 0; i < graph.count; i++) free(graph.values[i].data);
  free(own);
}

/* A matrix of one column is packed as a row and given back while the model is loaded; sessions plan anew. */
static void packed_constants_are_not_read_again(void **state) {
  (void)state;
  enum { K = 40000 };
  static float w[K], x[K];
  for (int i = 0; i < K; i++) x[i] = (float)(i % 5 - 2), w[i] = (float)(i % 3 - 1);
  model_builder *builder = builder_create(17);
  builder_input(builder, "x", NORMA_FLOAT, 2, (int64_t[]){1, K});
  builder_floats(builder, "w", 2, (int64_t[]){K, 1}, w);
  builder_node(builder, "Gemm", "x w", "y");
  builder_output(builder, "y", NORMA_FLOAT, -1, NULL);
  size_t size;
  const void *bytes = builder_bytes(builder, &size);
  norma_error error;
  norma_model *model;
  assert_int_equal(norma_model_load_memory(bytes, size, NULL, &model, &error), NORMA_OK);
  double expected = 0;
  for (int i = 0; i < K; i++) expected += (double)x[i] * w[i];
  for (int i = 0; i < 2; i++) {
    norma_session *session;
    norma_tensor tensor;
    norma_tensor_init(&tensor, NORMA_FLOAT, 2, (const int64_t[]){1, K}, x);
    assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
    assert_int_equal(norma_session_set_input(session, NULL, &tensor, &error), NORMA_OK);
    assert_int_equal(norma_session_run(session, &error), NORMA_OK);
    const norma_tensor *y = norma_value_tensor(norma_session_output(session, 0));
    assert_true(((const float *)y->data)[0] == (float)expected); /* whole numbers: exact in any order */
    norma_session_destroy(session);
  }
  norma_model_destroy(model);
  builder_destroy(builder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_graphs_give_what_they_should),
      cmocka_unit_test(parts_are_written_into_the_whole),
      cmocka_unit_test(packed_constants_are_not_read_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
