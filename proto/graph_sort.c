/* Puts the nodes of a graph into an order in which each stands after what it reads. Files should have that order; where
 * one does not, the order found is the one nearest to the file's: of the nodes that can come next, the first. */
#include "proto/reader.h"

#include <stdlib.h>

/* A subgraph below node `user` has a value of the sorted graph for an output: no use tells of it. */
typedef struct capture {
  const graph_value *value;
  int user;
} capture;

typedef struct sorter {
  graph *graph;
  size_t count;
  node **nodes;
  int *waiting; /* inputs of node i that are not there yet */
  size_t *heap; /* nodes that can come next, smallest first */
  size_t heap_count;
  capture *captures; /* by value */
  size_t capture_count, capture_capacity;
  int user; /* whose subgraphs are being visited */
  interruption *interruption;
  unsigned polls;
} sorter;

static void heap_add(sorter *sorter, size_t item) {
  size_t at = sorter->heap_count++;
  while (at > 0 && sorter->heap[(at - 1) / 2] > item) {
    sorter->heap[at] = sorter->heap[(at - 1) / 2];
    at = (at - 1) / 2;
  }
  sorter->heap[at] = item;
}

static size_t heap_take(sorter *sorter) {
  size_t first = sorter->heap[0], last = sorter->heap[--sorter->heap_count], at = 0;
  while (2 * at + 1 < sorter->heap_count) {
    size_t child = 2 * at + 1;
    if (child + 1 < sorter->heap_count && sorter->heap[child + 1] < sorter->heap[child]) child++;
    if (sorter->heap[child] >= last) break;
    sorter->heap[at] = sorter->heap[child];
    at = child;
  }
  sorter->heap[at] = last;
  return first;
}

/* The node of the sorted graph that `inner` is or stands below. */
static node *node_of_graph(const sorter *sorter, node *inner) {
  while (inner && inner->graph != sorter->graph) inner = inner->graph->parent_node;
  return inner;
}

/* Counts the captures, and notes them where there is room. */
static bool sort_visit_captures(void *context, graph *subgraph) {
  sorter *sorter = context;
  for (int i = 0; i < subgraph->output_count; i++) {
    if (subgraph->outputs[i]->graph != sorter->graph) continue;
    size_t at = sorter->capture_count++;
    if (at < sorter->capture_capacity) sorter->captures[at] = (capture){subgraph->outputs[i], sorter->user};
  }
  for (node *node = subgraph->first; node; node = node->next) node_visit_subgraphs(node, sort_visit_captures, sorter);
  return true;
}

static void find_captures(sorter *sorter) {
  sorter->capture_count = 0;
  for (node *node = sorter->graph->first; node; node = node->next) {
    sorter->user = node->index;
    node_visit_subgraphs(node, sort_visit_captures, sorter);
  }
}

static int sort_compare_captures(const void *a, const void *b) {
  uintptr_t left = (uintptr_t)((const capture *)a)->value, right = (uintptr_t)((const capture *)b)->value;
  return (left > right) - (left < right);
}

/* The first capture of `value` or, where there is none, of a later one. */
static size_t first_capture(const sorter *sorter, const graph_value *value) {
  size_t low = 0, high = sorter->capture_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if ((uintptr_t)sorter->captures[middle].value < (uintptr_t)value)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* Adds `change` to what each reader of `value` waits for; readers that wait for nothing more can come next. */
static void change_readers(sorter *sorter, const graph_value *value, int change) {
  for (const use *use = value->uses; use; use = use->next) {
    node *user = node_of_graph(sorter, use->node);
    if (!user) continue;
    sorter->waiting[user->index] += change;
    if (change < 0 && sorter->waiting[user->index] == 0) heap_add(sorter, (size_t)user->index);
  }
  for (size_t i = first_capture(sorter, value); i < sorter->capture_count && sorter->captures[i].value == value; i++) {
    int user = sorter->captures[i].user;
    sorter->waiting[user] += change;
    if (change < 0 && sorter->waiting[user] == 0) heap_add(sorter, (size_t)user);
  }
}

static void change_readers_of_outputs(sorter *sorter, const node *node, int change) {
  for (int i = 0; i < node->output_count; i++) {
    if (node->outputs[i]) change_readers(sorter, node->outputs[i], change);
  }
}

static norma_status sort(sorter *sorter, norma_error *error) {
  for (size_t i = 0; i < sorter->count; i++) change_readers_of_outputs(sorter, sorter->nodes[i], 1);
  for (size_t i = 0; i < sorter->count; i++) {
    if (sorter->waiting[i] == 0) heap_add(sorter, i);
  }
  size_t placed = 0;
  while (sorter->heap_count > 0) {
    node *next = sorter->nodes[heap_take(sorter)];
    TRY(interruption_poll_often(sorter->interruption, &sorter->polls, error));
    graph_move_before(next, NULL); /* to the end */
    placed++;
    change_readers_of_outputs(sorter, next, -1);
  }
  if (placed == sorter->count) return NORMA_OK;
  size_t first = 0;
  while (sorter->waiting[first] == 0) first++;
  return error_at_node(error, NORMA_ERROR_INVALID_MODEL, sorter->nodes[first],
                       "it needs a result that needs its own: the graph has a cycle");
}

static bool sort_allocate(sorter *sorter, memory *memory) {
  size_t count = (size_t)sorter->graph->node_count;
  sorter->nodes = memory_allocate_zeroed(memory, count * sizeof *sorter->nodes);
  sorter->waiting = memory_allocate_zeroed(memory, count * sizeof *sorter->waiting);
  sorter->heap = memory_allocate_zeroed(memory, count * sizeof *sorter->heap);
  if (!sorter->nodes || !sorter->waiting || !sorter->heap) return false;
  for (node *node = sorter->graph->first; node; node = node->next) {
    node->index = (int)sorter->count;
    sorter->nodes[sorter->count++] = node;
  }
  find_captures(sorter);
  sorter->capture_capacity = sorter->capture_count;
  sorter->captures = memory_allocate(memory, sorter->capture_capacity * sizeof *sorter->captures);
  if (!sorter->captures) return false;
  find_captures(sorter);
  qsort(sorter->captures, sorter->capture_count, sizeof *sorter->captures, sort_compare_captures);
  return true;
}

norma_status graph_sort(memory *memory, graph *graph, interruption *interruption, norma_error *error) {
  sorter sorter = {.graph = graph, .interruption = interruption};
  norma_status status = sort_allocate(&sorter, memory)
                            ? sort(&sorter, error)
                            : memory_error(memory, (size_t)graph->node_count * sizeof *sorter.nodes, error);
  memory_free(memory, sorter.nodes);
  memory_free(memory, sorter.waiting);
  memory_free(memory, sorter.heap);
  memory_free(memory, sorter.captures);
  return status;
}
