/* TreeEnsembleRegressor and TreeEnsembleClassifier against a walk from node to node, on random trees. */
#include "tests/support/workbench.h"

#include <string.h>

#define TREES     90 /* more than one group of sums */
#define DEPTH     5
#define PER_TREE  ((1 << (DEPTH + 1)) - 1)
#define INNER     ((1 << DEPTH) - 1)
#define LEAVES    (1 << DEPTH)
#define NODES     (TREES * PER_TREE)
#define TARGETS   3
#define FEATURES  6
#define MOST_ROWS 150

static const char *const mode_names[] = {"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE",
                                         "BRANCH_GT",  "BRANCH_EQ", "BRANCH_NEQ"};

/* Complete trees: the children of node i are 2 i + 1, where the comparison holds, and 2 i + 2. */
typedef struct forest {
  int64_t tree_ids[NODES], node_ids[NODES], features[NODES], true_ids[NODES], false_ids[NODES], missing[NODES];
  float thresholds[NODES];
  norma_string modes[NODES];
  int mode[NODES];
  int64_t vote_trees[TREES * LEAVES], vote_nodes[TREES * LEAVES], vote_targets[TREES * LEAVES];
  float vote_weights[TREES * LEAVES];
} forest;

static void plant(forest *forest, uint64_t *seed, int modes) {
  memset(forest, 0, sizeof *forest);
  for (int i = 0; i < NODES; i++) {
    const int node = i % PER_TREE, tree = i / PER_TREE;
    forest->tree_ids[i] = tree;
    forest->node_ids[i] = node;
    if (node >= INNER) {
      forest->modes[i] = (norma_string){"LEAF", 4};
      const int vote = tree * LEAVES + node - INNER;
      forest->vote_trees[vote] = tree;
      forest->vote_nodes[vote] = node;
      forest->vote_targets[vote] = (int64_t)driver_random(seed, 0, TARGETS);
      forest->vote_weights[vote] = (float)driver_random(seed, 0, 1);
      continue;
    }
    forest->mode[i] = (int)driver_random(seed, 0, modes);
    forest->modes[i] = (norma_string){mode_names[forest->mode[i]], strlen(mode_names[forest->mode[i]])};
    forest->features[i] = (int64_t)driver_random(seed, 0, FEATURES);
    forest->thresholds[i] = (float)(int)driver_random(seed, -4, 5); /* whole, so that equal ones happen */
    forest->true_ids[i] = 2 * node + 1;
    forest->false_ids[i] = 2 * node + 2;
    forest->missing[i] = driver_random(seed, 0, 1) < 0.5;
  }
}

static bool holds(int mode, double x, double threshold) {
  switch (mode) {
  case 0:
    return x <= threshold;
  case 1:
    return x < threshold;
  case 2:
    return x >= threshold;
  case 3:
    return x > threshold;
  case 4:
    return x == threshold;
  default:
    return x != threshold;
  }
}

static void count_votes(const forest *forest, const double *row, double *sums) {
  memset(sums, 0, TARGETS * sizeof *sums);
  for (int tree = 0; tree < TREES; tree++) {
    int node = 0;
    while (node < INNER) {
      const int i = tree * PER_TREE + node;
      const double x = row[forest->features[i]];
      const bool is_true =
          (isnan(x) && forest->missing[i] != 0) || holds(forest->mode[i], x, (double)forest->thresholds[i]);
      node = 2 * node + (is_true ? 1 : 2);
    }
    const int vote = tree * LEAVES + node - INNER;
    sums[forest->vote_targets[vote]] += (double)forest->vote_weights[vote];
  }
}

#define VOTES(prefix, forest)                                                                                          \
  DRIVER_INTS(prefix "_treeids", TREES *LEAVES, (forest)->vote_trees),                                                 \
      DRIVER_INTS(prefix "_nodeids", TREES *LEAVES, (forest)->vote_nodes),                                             \
      DRIVER_INTS(prefix "_ids", TREES *LEAVES, (forest)->vote_targets),                                               \
      DRIVER_FLOATS(prefix "_weights", TREES *LEAVES, (forest)->vote_weights)

static driver_call make_call(const char *type, const value *x, const forest *forest) {
  static const int64_t labels[TARGETS] = {5, 6, 7};
  const bool classifies = strcmp(type, "TreeEnsembleClassifier") == 0;
  const attribute common[] = {DRIVER_INTS("nodes_treeids", NODES, forest->tree_ids),
                              DRIVER_INTS("nodes_nodeids", NODES, forest->node_ids),
                              DRIVER_INTS("nodes_featureids", NODES, forest->features),
                              DRIVER_INTS("nodes_truenodeids", NODES, forest->true_ids),
                              DRIVER_INTS("nodes_falsenodeids", NODES, forest->false_ids),
                              DRIVER_INTS("nodes_missing_value_tracks_true", NODES, forest->missing),
                              DRIVER_FLOATS("nodes_values", NODES, forest->thresholds),
                              DRIVER_STRINGS("nodes_modes", NODES, forest->modes)};
  const attribute targets[] = {DRIVER_INT("n_targets", TARGETS), VOTES("target", forest)};
  const attribute classes[] = {DRIVER_INTS("classlabels_int64s", TARGETS, labels), VOTES("class", forest)};
  driver_call call = CALL(type, 3, x);
  call.domain = "ai.onnx.ml";
  call.output_count = classifies ? 2 : 1;
  memcpy(call.attributes, common, sizeof common);
  memcpy(call.attributes + COUNT(common), classifies ? classes : targets, sizeof classes);
  return call;
}

static void random_trees(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_INT32, NORMA_INT64};
  static forest forest;
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int round = 0; round < 48; round++) {
    const int64_t rows = round % 3 == 0 ? 1 : (int64_t)driver_random(&bench.seed, 0, MOST_ROWS);
    const norma_element_type type = types[round % 4];
    double sums[MOST_ROWS * TARGETS], largest[MOST_ROWS];
    int64_t best[MOST_ROWS];
    plant(&forest, &bench.seed, round % 2 ? 1 : 6);
    value *x = bench_make(&bench, type, SHAPE(rows, FEATURES));
    for (int64_t i = 0; i < rows * FEATURES; i++) {
      const double drawn = driver_random(&bench.seed, -5, 6), element = drawn < 3 ? floor(drawn) : drawn;
      switch (type) {
      case NORMA_FLOAT:
        ((float *)x->tensor.data)[i] = drawn > 5.5 ? NAN : (float)element;
        break;
      case NORMA_DOUBLE:
        ((double *)x->tensor.data)[i] = drawn > 5.5 ? (double)NAN : element;
        break;
      case NORMA_INT32:
        ((int32_t *)x->tensor.data)[i] = (int32_t)element;
        break;
      default:
        ((int64_t *)x->tensor.data)[i] = (int64_t)element;
        break;
      }
    }
    for (int64_t r = 0; r < rows; r++) {
      double row[FEATURES];
      for (int f = 0; f < FEATURES; f++) row[f] = driver_element(x, r * FEATURES + f);
      double *of_row = sums + r * TARGETS;
      count_votes(&forest, row, of_row);
      int found = 0;
      for (int t = 1; t < TARGETS; t++) found = of_row[t] > of_row[found] ? t : found;
      best[r] = 5 + found;
      largest[r] = of_row[found];
    }
    driver_call call = make_call("TreeEnsembleRegressor", x, &forest);
    check_near("regressor", bench_run(&bench, &call), NORMA_FLOAT, SHAPE(rows, TARGETS), sums, 1e-6);
    call = make_call("TreeEnsembleClassifier", x, &forest);
    const value *y = bench_run(&bench, &call);
    for (int64_t r = 0; r < rows; r++) {
      const int64_t label = ((const int64_t *)y->tensor.data)[r];
      assert_true(label == best[r] || largest[r] - sums[r * TARGETS + label - 5] < 1e-6);
    }
    check_near("classifier", &bench.driver.outputs[1], NORMA_FLOAT, SHAPE(rows, TARGETS), sums, 1e-6);
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

static void refusals(void **state) {
  static forest forest;
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, FEATURES), NULL);
  driver_call call = make_call("TreeEnsembleRegressor", x, &forest);
  plant(&forest, &bench.seed, 6);
  forest.true_ids[3] = 0; /* round in a circle */
  assert_int_not_equal(driver_run(&bench.driver, &call), NORMA_OK);
  plant(&forest, &bench.seed, 6);
  forest.false_ids[0] = PER_TREE;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "has no node");
  plant(&forest, &bench.seed, 6);
  forest.node_ids[1] = 0;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "twice");
  plant(&forest, &bench.seed, 6);
  forest.vote_targets[0] = TARGETS;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "none of 3");
  plant(&forest, &bench.seed, 6);
  forest.features[0] = -1;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "nodes_featureids[0] is -1");
  plant(&forest, &bench.seed, 6);
  forest.features[0] = FEATURES; /* X has one less */
  assert_int_not_equal(driver_run(&bench.driver, &call), NORMA_OK);
  plant(&forest, &bench.seed, 6);
  forest.modes[0] = (norma_string){"BRANCH", 6};
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "'BRANCH'");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_trees),
      cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
