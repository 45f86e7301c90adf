#include "tests/support/framed_model.h"

#include "engine/execute/runtime.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

void framed_open(framed_model *framed, model_builder *builder, norma_runtime *runtime, const value *inputs,
                 bool profile) {
  value_info infos[FRAMED_MOST_INPUTS];
  memset(framed, 0, sizeof *framed);
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1};
  framed->runtime = runtime;
  if (!runtime) assert_int_equal(norma_runtime_create(&options, &framed->runtime, NULL), NORMA_OK);
  framed->model = load_built(builder, NORMA_OPTIMIZE_NONE, framed->runtime);
  const graph *graph = framed->model->graph;
  framed->executor = executor_of(framed->model);
  framed->subgraphs = (subgraph_cache){.memory = framed->model->memory, .keep_all = true};
  framed->executor.subgraphs = &framed->subgraphs;
  assert_true(graph->input_count <= FRAMED_MOST_INPUTS);
  for (int i = 0; i < graph->input_count; i++) infos[i] = value_info_of(&inputs[i]);
  const plan_request request = {.executor = &framed->executor, .graph = graph, .inputs = infos, .keep_all = true};
  if (plan_create(&request, &framed->plan, &framed->error) != NORMA_OK ||
      frame_create(framed->model->memory, framed->plan, &framed->executor, profile, &framed->frame, &framed->error) !=
          NORMA_OK) {
    fail_msg("%s", framed->error.message);
  }
  framed->arena = memory_allocate(framed->model->memory, framed->plan->arena_bytes);
  assert_non_null(framed->arena);
  memset(framed->arena, 0xA5, framed->plan->arena_bytes);
  frame_bind(framed->frame, framed->arena);
  framed_set(framed, inputs);
}

void framed_close(framed_model *framed) {
  memory *memory = framed->model->memory;
  frame_destroy(framed->frame);
  plan_destroy(framed->plan);
  subgraph_cache_free(&framed->subgraphs);
  memory_free(memory, framed->arena);
  norma_model_destroy(framed->model);
  norma_runtime_destroy(framed->runtime);
}

void framed_set(framed_model *framed, const value *inputs) {
  for (int i = 0; i < framed->model->graph->input_count; i++) {
    frame_set(framed->frame, framed->plan->inputs[i], &inputs[i]);
  }
}

norma_status framed_run(framed_model *framed) {
  return frame_run(framed->frame, &framed->executor, &framed->error);
}

const norma_tensor *framed_tensor(const framed_model *framed, const char *name) {
  const graph_value *named = graph_find_value(framed->model->graph, name);
  const value *found = named ? frame_find(framed->frame, named) : NULL;
  const norma_tensor *tensor = found ? norma_value_tensor(found) : NULL;
  if (!tensor) fail_msg("there is no tensor '%s'", name);
  return tensor;
}

value framed_floats(int rank, const int64_t *dims, float *data) {
  value made = {.kind = NORMA_VALUE_TENSOR};
  assert_int_equal(norma_tensor_init(&made.tensor, NORMA_FLOAT, rank, dims, data), NORMA_OK);
  return made;
}
