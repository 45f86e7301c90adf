/* Graphs: order of nodes, uses of values, names, attributes, subgraphs and what they capture. */
#include "engine/graph/graph.h"

#include "engine/base/status.h"
#include "tests/support/failing_allocations.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

typedef struct made_graph {
  memory memory;
  region region;
  graph *graph;
} made_graph;

static void make(made_graph *made) {
  memory_init(&made->memory, NULL, 0);
  region_init(&made->region, &made->memory);
  made->graph = graph_create(&made->region, &made->memory, "g", NULL, NULL);
  assert_non_null(made->graph);
}

/* Gives everything back; nothing may be left. */
static void finish(made_graph *made) {
  graph_release(made->graph);
  region_free(&made->region);
  assert_int_equal(atomic_load(&made->memory.used), 0);
}

static node *add(graph *graph, const char *name, int inputs, int outputs) {
  node *added = graph_add_node(graph, name, "Op", "", inputs, outputs, 0);
  assert_non_null(added);
  return added;
}

static graph_value *value_named(graph *graph, const char *name) {
  graph_value *value = graph_add_value(graph, name);
  assert_non_null(value);
  return value;
}

/* A node y = Op(inputs) of values that are there; the result is a new value. */
static graph_value *compute(graph *graph, const char *output, int count, graph_value *const *inputs) {
  node *node = add(graph, output, count, 1);
  graph_value *value = value_named(graph, output);
  for (int i = 0; i < count; i++) node_set_input(node, i, inputs[i]);
  node_set_output(node, 0, value);
  return value;
}

/* A graph below a node, as an attribute of it. */
static graph *add_subgraph(made_graph *made, node *node, const char *name) {
  graph *created = graph_create(&made->region, &made->memory, name, node->graph, node);
  assert_non_null(created);
  assert_true(node_set_attribute_int(node, name, 0));
  attribute *attribute = &node->attributes[node->attribute_count - 1];
  attribute->kind = ATTRIBUTE_GRAPH;
  attribute->graph = created;
  return created;
}

static value make_contents(memory *memory, int64_t count) {
  value contents;
  const shape shape = shape_make(1, &count);
  assert_int_equal(value_allocate_tensor(memory, &contents, NORMA_FLOAT, &shape, NULL), NORMA_OK);
  return contents;
}

/* ------------------------------------------------------------------------------------------------------------ order */

/* Whether the labels rise along the list, whose links agree in both directions. */
static void check_list(const graph *graph) {
  const node *previous = NULL;
  int count = 0;
  for (const node *node = graph->first; node; previous = node, node = node->next, count++) {
    assert_ptr_equal(node->previous, previous);
    if (previous && !node_stands_before(previous, node)) fail_msg("the labels of nodes %d do not rise", count);
    assert_false(node_stands_before(node, node));
  }
  assert_ptr_equal(graph->last, previous);
  assert_int_equal(graph->node_count, count);
}

/* Compares some pairs with the walk of the list, which numbers the nodes. */
static void check_pairs(const graph *graph, uint64_t *seed) {
  node *nodes[512];
  int count = 0;
  for (node *node = graph->first; node && count < 512; node = node->next) nodes[count++] = node;
  for (int i = 0; i < 200 && count > 0; i++) {
    const int a = (int)random_int(seed, 0, count - 1), b = (int)random_int(seed, 0, count - 1);
    assert_int_equal(node_stands_before(nodes[a], nodes[b]), a < b);
  }
}

static node *random_node(node *const *nodes, int count, uint64_t *seed) {
  return nodes[random_int(seed, 0, count - 1)];
}

/* Insertions, moves and removals: at random places, at both ends, and again and again at the same place. */
static void order_agrees_with_the_list(void **state) {
  enum { NODES = 400, STEPS = 20000 };
  (void)state;
  for (uint64_t style = 1; style <= 4; style++) {
    made_graph made;
    node *nodes[NODES];
    int count = 0;
    uint64_t seed = style;
    make(&made);
    node *spot = NULL; /* where styles 2 and 3 insert */
    for (int step = 0; step < STEPS; step++) {
      const int64_t choice = random_int(&seed, 0, 9);
      node *position = style == 1 && count ? random_node(nodes, count, &seed) : style == 4 ? made.graph->first : spot;
      if (count < 2 || (count < NODES && choice < 5)) {
        node *created = graph_insert_node(made.graph, position, "n", "Op", "", 0, 0, 0);
        assert_non_null(created);
        nodes[count++] = created;
        if (style == 2 && !spot) spot = created;
        if (style == 3) spot = created; /* each in front of the last one */
      } else if (choice < 8) {
        node *moved = random_node(nodes, count, &seed);
        if (moved != position) graph_move_before(moved, position);
      } else {
        const int index = (int)random_int(&seed, 0, count - 1);
        if (nodes[index] == spot) spot = NULL;
        graph_remove_node(nodes[index]);
        nodes[index] = nodes[--count];
      }
      if (step % 97 == 0) check_pairs(made.graph, &seed);
      if (step % 997 == 0) check_list(made.graph);
    }
    check_list(made.graph);
    finish(&made);
  }
}

static double cpu_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Inserts so many nodes in one spot, each right in front of the spot, or each right behind it. */
static double insert_in_one_spot(int count, bool in_front) {
  made_graph made;
  make(&made);
  node *spot = add(made.graph, "spot", 0, 0), *last = add(made.graph, "last", 0, 0);
  const double start = cpu_seconds();
  for (int i = 0; i < count; i++) {
    node *created = graph_insert_node(made.graph, in_front ? last : spot->next, "n", "Op", "", 0, 0, 0);
    assert_non_null(created);
    assert_true(node_stands_before(spot, created) && node_stands_before(created, last));
  }
  const double seconds = cpu_seconds() - start;
  check_list(made.graph);
  finish(&made);
  return seconds;
}

/* An insertion costs O(log n) on average: a hundred thousand in one spot take no more than some times ten what ten
 * thousand take; the square would be a hundred times. */
static void insertions_in_one_spot_take_linear_time(void **state) {
  (void)state;
  for (int in_front = 0; in_front < 2; in_front++) {
    double few = INFINITY, many = INFINITY;
    for (int i = 0; i < 3; i++) few = fmin(few, insert_in_one_spot(10000, in_front));
    for (int i = 0; i < 2; i++) many = fmin(many, insert_in_one_spot(100000, in_front));
    if (many > 30 * few) fail_msg("%g seconds for ten times what took %g", many, few);
  }
}

/* Moving to a place that is taken, to the end, and to where the node stands already. */
static void nodes_move(void **state) {
  (void)state;
  made_graph made;
  make(&made);
  node *nodes[4];
  for (int i = 0; i < 4; i++) nodes[i] = add(made.graph, "n", 0, 0);
  graph_move_before(nodes[3], nodes[0]);
  assert_ptr_equal(made.graph->first, nodes[3]);
  assert_ptr_equal(made.graph->last, nodes[2]);
  graph_move_before(nodes[3], NULL);
  assert_ptr_equal(made.graph->last, nodes[3]);
  graph_move_before(nodes[0], nodes[1]);
  assert_ptr_equal(made.graph->first, nodes[0]);
  check_list(made.graph);
  assert_int_equal(made.graph->node_count, 4);
  finish(&made);
}

/* ------------------------------------------------------------------------------------------------------------- uses */

/* The list of a value's uses holds each input that reads it, once. */
static void check_uses(const graph_value *value) {
  int count = 0;
  for (const use *use = value->uses; use; use = use->next, count++) {
    assert_ptr_equal(use->node->inputs[use->index], value);
    assert_ptr_equal(use, &use->node->input_uses[use->index]);
    if (use->next) assert_ptr_equal(use->next->previous, use);
  }
  assert_int_equal(value->use_count, count);
}

static void uses_follow_inputs(void **state) {
  enum { VALUES = 8, NODES = 30, STEPS = 5000 };
  (void)state;
  made_graph made;
  graph_value *values[VALUES];
  node *nodes[NODES];
  uint64_t seed = 11;
  make(&made);
  for (int i = 0; i < VALUES; i++) values[i] = graph_add_unique_value(made.graph, "v");
  for (int i = 0; i < NODES; i++) nodes[i] = add(made.graph, "n", 3, 0);
  for (int step = 0; step < STEPS; step++) {
    node *node = random_node(nodes, NODES, &seed);
    const int64_t choice = random_int(&seed, -1, VALUES - 1);
    if (step % 50 == 0 && node->input_count < 20) assert_true(node_add_inputs(node, (int)random_int(&seed, 1, 3)));
    if (step % 211 == 0) graph_replace_uses(values[random_int(&seed, 0, VALUES - 1)], values[0]);
    node_set_input(node, (int)random_int(&seed, 0, node->input_count - 1), choice < 0 ? NULL : values[choice]);
    if (step % 37 == 0) {
      for (int i = 0; i < VALUES; i++) check_uses(values[i]);
    }
  }
  for (int i = 0; i < NODES; i++) graph_remove_node(nodes[i]);
  for (int i = 0; i < VALUES; i++) assert_int_equal(values[i]->use_count, 0);
  finish(&made);
}

static void outputs_have_one_producer(void **state) {
  (void)state;
  made_graph made;
  make(&made);
  node *first = add(made.graph, "first", 0, 2), *second = add(made.graph, "second", 0, 1);
  graph_value *value = value_named(made.graph, "v"), *other = value_named(made.graph, "w");
  node_set_output(first, 1, value);
  assert_ptr_equal(value->producer, first);
  assert_int_equal(value->producer_index, 1);
  node_set_output(second, 0, value); /* taken over */
  assert_ptr_equal(value->producer, second);
  node_set_output(first, 1, other); /* which must not take it away from the second */
  assert_ptr_equal(value->producer, second);
  node_set_output(second, 0, NULL);
  assert_null(value->producer);
  graph_remove_node(first);
  assert_null(other->producer);
  finish(&made);
}

static void single_uses_are_told(void **state) {
  (void)state;
  made_graph made;
  make(&made);
  graph_value *value = value_named(made.graph, "v");
  assert_false(value_has_single_use(value));
  node *reader = add(made.graph, "r", 2, 0);
  node_set_input(reader, 0, value);
  assert_true(value_has_single_use(value));
  node_set_input(reader, 1, value); /* twice by one node */
  assert_false(value_has_single_use(value));
  node_set_input(reader, 1, NULL);
  assert_true(graph_add_output(made.graph, value));
  assert_false(value_has_single_use(value));
  finish(&made);
}

/* -------------------------------------------------------------------------------------------------------- replacing */

/* Nodes here and below, outputs of the graph, outputs of subgraphs at any depth. */
static void replacing_reaches_all_readers(void **state) {
  (void)state;
  made_graph made;
  make(&made);
  graph_value *old = value_named(made.graph, "old"), *new = value_named(made.graph, "new");
  compute(made.graph, "a", 2, (graph_value *[]){old, old});
  node *branch = add(made.graph, "branch", 0, 0);
  graph *inner = add_subgraph(&made, branch, "body");
  compute(inner, "b", 1, &old);
  node *deeper = add(inner, "deeper", 0, 0);
  graph *innermost = add_subgraph(&made, deeper, "body");
  assert_true(graph_add_output(innermost, old) && graph_add_output(innermost, old));
  assert_true(graph_add_output(made.graph, old));
  assert_int_equal(old->use_count, 3);
  assert_int_equal(old->output_count, 3);
  graph_replace_uses(old, new);
  assert_int_equal(old->use_count, 0);
  assert_int_equal(old->output_count, 0);
  assert_int_equal(new->use_count, 3);
  assert_int_equal(new->output_count, 3);
  assert_ptr_equal(innermost->outputs[1], new);
  assert_ptr_equal(made.graph->outputs[0], new);
  check_uses(new);
  graph_replace_uses(new, new); /* nothing */
  assert_int_equal(new->use_count, 3);
  finish(&made);
}

/* With a node its graphs go: what they read and hand out is not read any more, and their constants are given back. */
static void removing_takes_subgraphs_along(void **state) {
  (void)state;
  made_graph made;
  make(&made);
  graph_value *outer = value_named(made.graph, "outer");
  node *branch = add(made.graph, "branch", 1, 1);
  node_set_input(branch, 0, outer);
  graph *inner = add_subgraph(&made, branch, "body");
  value contents = make_contents(&made.memory, 1000);
  graph_value *constant = graph_add_constant(inner, "k", &contents);
  compute(inner, "b", 2, (graph_value *[]){outer, constant});
  assert_true(graph_add_output(inner, outer));
  const size_t used = atomic_load(&made.memory.used);
  graph_remove_node(branch);
  assert_int_equal(outer->use_count, 0);
  assert_int_equal(outer->output_count, 0);
  assert_int_equal(made.graph->node_count, 0);
  assert_true(atomic_load(&made.memory.used) + 4000 <= used);
  finish(&made);
}

/* ------------------------------------------------------------------------------------------------------------ names */

static void names_are_found_from_inside_out(void **state) {
  (void)state;
  made_graph made;
  make(&made);
  graph_value *x = value_named(made.graph, "x"), *y = value_named(made.graph, "y");
  graph *inner = add_subgraph(&made, add(made.graph, "branch", 0, 0), "body");
  graph_value *own = value_named(inner, "x");
  assert_ptr_equal(graph_find_value(made.graph, "x"), x);
  assert_ptr_equal(graph_find_value(inner, "x"), own);
  assert_ptr_equal(graph_find_value(inner, "y"), y);
  assert_null(graph_find_value(inner, "z"));
  assert_null(graph_find_value(inner, ""));
  assert_null(graph_find_value(made.graph, "X"));
  graph_value *second = value_named(made.graph, "x"); /* of values of one name the first is found */
  assert_ptr_not_equal(second, x);
  assert_ptr_equal(graph_find_value(made.graph, "x"), x);
  finish(&made);
}

static void many_names_are_found(void **state) {
  enum { COUNT = 20000 };
  char name[32];
  (void)state;
  made_graph made;
  make(&made);
  for (int i = 0; i < COUNT; i++) {
    snprintf(name, sizeof name, "layer%d/value", i);
    assert_int_equal(value_named(made.graph, name)->id, i);
  }
  for (int i = 0; i < COUNT; i++) {
    snprintf(name, sizeof name, "layer%d/value", i);
    assert_int_equal(graph_find_value(made.graph, name)->id, i);
    assert_ptr_equal(made.graph->values[i]->graph, made.graph);
  }
  assert_null(graph_find_value(made.graph, "layer20000/value"));
  finish(&made);
}

static void unique_names_are_free_here_and_outside(void **state) {
  (void)state;
  made_graph made;
  make(&made);
  graph *inner = add_subgraph(&made, add(made.graph, "branch", 0, 0), "body");
  value_named(made.graph, "x");
  value_named(inner, "x.0"); /* what would come next */
  for (int i = 0; i < 100; i++) {
    graph_value *value = graph_add_unique_value(i % 2 ? inner : made.graph, "x");
    assert_int_equal(strncmp(value->name, "x", 1), 0);
    assert_ptr_equal(graph_find_value(value->graph, value->name), value); /* nobody else has the name */
  }
  assert_string_equal(graph_add_unique_value(made.graph, "free")->name, "free");
  finish(&made);
}

/* A name that is made of the last name, and that of the one before, comes to an end; characters of UTF-8 stay whole. */
static void unique_names_do_not_grow(void **state) {
  (void)state;
  made_graph made;
  make(&made);
  const char *name = "stem";
  for (int i = 0; i < 1000; i++) {
    graph_value *value = graph_add_unique_value(made.graph, name);
    assert_non_null(value);
    name = value->name;
    assert_true(strlen(name) < 280);
  }
  char text[302];
  text[0] = 'x';
  for (int i = 1; i < 301; i += 2) memcpy(text + i, "\xC3\xA9", 2); /* é, which the cut would go through */
  text[301] = '\0';
  name = graph_add_unique_value(made.graph, text)->name;
  assert_true(strlen(name) == 255 && memcmp(name, text, 255) == 0);
  name = graph_add_unique_value(made.graph, text + 1)->name;
  assert_true(strlen(name) == 254 && memcmp(name, text + 1, 254) == 0);
  finish(&made);
}

/* ------------------------------------------------------------------------------------------------------- attributes */

static void attributes_are_read_by_kind(void **state) {
  (void)state;
  made_graph made;
  size_t count = 7;
  make(&made);
  node *node = add(made.graph, "n", 0, 0);
  assert_true(node_set_attribute_int(node, "i", -3));
  assert_true(node_set_attribute_float(node, "f", 2.5f));
  assert_true(node_set_attribute_ints(node, "is", (int64_t[]){4, 5}, 2));
  assert_true(node_set_attribute_ints(node, "none", NULL, 0));
  assert_int_equal(attribute_int(node, "i", 9), -3);
  assert_true(attribute_float(node, "f", 9) == 2.5f);
  assert_int_equal(attribute_ints(node, "is", &count)[1], 5);
  assert_int_equal(count, 2);
  assert_non_null(attribute_ints(node, "none", &count));
  assert_int_equal(count, 0);
  /* of another kind, or not there */
  assert_int_equal(attribute_int(node, "f", 9), 9);
  assert_true(attribute_float(node, "i", 9) == 9);
  assert_string_equal(attribute_string(node, "i", "other"), "other");
  assert_null(attribute_string(node, "absent", NULL));
  assert_null(attribute_ints(node, "i", &count));
  assert_null(attribute_floats(node, "is", &count));
  assert_int_equal(count, 0);
  assert_null(attribute_tensor(node, "i"));
  assert_null(attribute_graph(node, "i"));
  assert_null(node_attribute(node, "absent"));
  assert_int_equal(node_attribute(node, "i")->kind, ATTRIBUTE_INT);
  finish(&made);
}

/* Set twice there is still one, of the last kind and value, in its place. */
static void attributes_set_twice_are_replaced(void **state) {
  (void)state;
  made_graph made;
  size_t count;
  make(&made);
  node *node = add(made.graph, "n", 0, 0);
  assert_true(node_set_attribute_int(node, "a", 1));
  assert_true(node_set_attribute_int(node, "b", 2));
  assert_true(node_set_attribute_int(node, "a", 3));
  assert_int_equal(node->attribute_count, 2);
  assert_int_equal(attribute_int(node, "a", 0), 3);
  assert_true(node_set_attribute_ints(node, "a", (int64_t[]){4, 5, 6}, 3));
  assert_true(node_set_attribute_float(node, "b", 0.5f));
  assert_int_equal(node->attribute_count, 2);
  assert_int_equal(attribute_int(node, "a", 0), 0);
  assert_int_equal(attribute_ints(node, "a", &count)[2], 6);
  assert_int_equal(count, 3);
  assert_true(node_set_attribute_int(node, "a", 7)); /* nothing of the list is left */
  assert_int_equal(node_attribute(node, "a")->count, 0);
  assert_string_equal(node->attributes[0].name, "a");
  finish(&made);
}

static bool count_graph(void *context, graph *subgraph) {
  (void)subgraph;
  return ++*(int *)context < 3;
}

static void subgraphs_are_visited_until_told_to_stop(void **state) {
  (void)state;
  made_graph made;
  make(&made);
  node *node = add(made.graph, "n", 0, 0);
  int visited = 0;
  assert_true(node_visit_subgraphs(node, count_graph, &visited));
  assert_int_equal(visited, 0);
  add_subgraph(&made, node, "one");
  graph *list[3] = {graph_create(&made.region, &made.memory, "l", made.graph, node), NULL,
                    graph_create(&made.region, &made.memory, "m", made.graph, node)};
  assert_true(node_set_attribute_int(node, "list", 0));
  node->attributes[1] = (attribute){.name = "list", .kind = ATTRIBUTE_GRAPHS, .count = 3, .graphs = list};
  add_subgraph(&made, node, "after");
  assert_false(node_visit_subgraphs(node, count_graph, &visited));
  assert_int_equal(visited, 3);
  finish(&made);
}

/* --------------------------------------------------------------------------------------------------------- captures */

/* What a graph reads of graphs around it, itself or below: each once, no constants, found again by graph_find_capture.
 */
static void captures_are_listed(void **state) {
  (void)state;
  made_graph made;
  make(&made);
  graph_value *a = value_named(made.graph, "a"), *b = value_named(made.graph, "b");
  value contents = make_contents(&made.memory, 3);
  graph_value *constant = graph_add_constant(made.graph, "k", &contents);
  node *branch = add(made.graph, "branch", 0, 0);
  graph *inner = add_subgraph(&made, branch, "body");
  graph_value *own = compute(inner, "own", 3, (graph_value *[]){b, b, constant});
  node *deeper = add(inner, "deeper", 0, 0);
  graph *innermost = add_subgraph(&made, deeper, "body");
  compute(innermost, "deep", 2, (graph_value *[]){own, a});
  assert_true(graph_add_output(innermost, b)); /* handed out, and read by nobody there */
  assert_true(graph_find_captures(made.graph));
  assert_int_equal(made.graph->capture_count, 0);
  assert_int_equal(inner->capture_count, 2);
  assert_ptr_equal(inner->captures[graph_find_capture(inner, a)], a);
  assert_ptr_equal(inner->captures[graph_find_capture(inner, b)], b);
  assert_int_equal(innermost->capture_count, 3);
  assert_ptr_equal(innermost->captures[graph_find_capture(innermost, own)], own);
  assert_int_equal(graph_find_capture(inner, own), -1);
  assert_int_equal(graph_find_capture(inner, constant), -1);
  assert_int_equal(graph_find_capture(made.graph, a), -1);
  assert_true(graph_find_captures(made.graph)); /* again gives the same */
  assert_int_equal(innermost->capture_count, 3);
  assert_true(graph_contains(made.graph, innermost) && graph_contains(inner, inner));
  assert_false(graph_contains(innermost, inner));
  finish(&made);
}

/* ----------------------------------------------------------------------------------------------------------- errors */

static void errors_name_the_node(void **state) {
  (void)state;
  made_graph made;
  norma_error error;
  make(&made);
  node *node = graph_add_node(made.graph, "the node", "Conv", "", 0, 0, 0);
  node->opset = 13;
  assert_int_equal(error_at_node(&error, NORMA_ERROR_INPUT, node, "has %d inputs", 5), NORMA_ERROR_INPUT);
  assert_int_equal(error.status, NORMA_ERROR_INPUT);
  assert_string_equal(error.message, "node 'the node' (Conv, ai.onnx 13): has 5 inputs");
  assert_string_equal(error.node, "the node");
  assert_string_equal(error.op_type, "Conv");
  assert_string_equal(error.domain, "ai.onnx");
  assert_int_equal(error.opset, 13);
  struct node *other = graph_add_node(made.graph, "outer", "If", "house", 0, 0, 0);
  assert_int_equal(error_add_node(&error, other), NORMA_ERROR_INPUT); /* an inner node has named itself */
  assert_string_equal(error.node, "the node");
  error_set(&error, NORMA_ERROR_RUN, "bad");
  assert_int_equal(error_add_node(&error, other), NORMA_ERROR_RUN);
  assert_string_equal(error.message, "node 'outer' (If, house 0): bad");
  assert_string_equal(domain_text(""), "ai.onnx");
  assert_string_equal(domain_text("house"), "house");
  assert_int_equal(error_at_node(NULL, NORMA_ERROR_RUN, node, "x"), NORMA_ERROR_RUN); /* nobody wants to know */
  finish(&made);
}

/* ----------------------------------------------------------------------------------------------------------- memory */

/* Everything that takes memory, so that each allocation fails once. */
static norma_status build(void *context, const norma_allocator *allocator, norma_error *error) {
  memory memory;
  region region;
  (void)context;
  memory_init(&memory, allocator, 0);
  region_init(&region, &memory);
  graph *graph = graph_create(&region, &memory, "g", NULL, NULL);
  bool good = graph != NULL;
  char name[400];
  memset(name, 'n', sizeof name - 1); /* long names and many values: regions grow by blocks */
  name[sizeof name - 1] = '\0';
  for (int i = 0; good && i < 100; i++) {
    node *node = graph_add_node(graph, name, "Op", "", 2, 1, 1);
    graph_value *value = graph_add_unique_value(graph, name);
    good = node && value && node_add_inputs(node, 3) && node_set_attribute_int(node, "a", i) &&
           node_set_attribute_ints(node, "b", (int64_t[]){1, 2, 3}, 3) && graph_add_output(graph, value) &&
           graph_add_input(graph, value);
    if (good) node_set_output(node, 0, value);
    const shape shape = shape_make(1, (int64_t[]){8});
    struct norma_value contents;
    good = good && value_allocate_tensor(&memory, &contents, NORMA_FLOAT, &shape, NULL) == NORMA_OK;
    good = good && graph_add_constant(graph, "constant", &contents); /* which is given back on failure */
  }
  graph_release(graph);
  region_free(&region);
  return good ? NORMA_OK : error_set(error, NORMA_ERROR_OUT_OF_MEMORY, "out of memory");
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  assert_int_equal(fail_each_allocation(build, NULL), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(order_agrees_with_the_list),
      cmocka_unit_test(insertions_in_one_spot_take_linear_time),
      cmocka_unit_test(nodes_move),
      cmocka_unit_test(uses_follow_inputs),
      cmocka_unit_test(outputs_have_one_producer),
      cmocka_unit_test(single_uses_are_told),
      cmocka_unit_test(replacing_reaches_all_readers),
      cmocka_unit_test(removing_takes_subgraphs_along),
      cmocka_unit_test(names_are_found_from_inside_out),
      cmocka_unit_test(many_names_are_found),
      cmocka_unit_test(unique_names_are_free_here_and_outside),
      cmocka_unit_test(unique_names_do_not_grow),
      cmocka_unit_test(attributes_are_read_by_kind),
      cmocka_unit_test(attributes_set_twice_are_replaced),
      cmocka_unit_test(subgraphs_are_visited_until_told_to_stop),
      cmocka_unit_test(captures_are_listed),
      cmocka_unit_test(errors_name_the_node),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
