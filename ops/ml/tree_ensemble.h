/*
 * Ensembles of decision trees: how they are held, made from attributes, and walked.
 *
 * All comparisons of the definition become one, x <= threshold, with two children that lie side by side: the one taken
 * where it is false, then the one where it is true. So a walk has no branches: the next node is the first child, or the
 * one behind it. x < t is x <= the next number below t, x > t and x >= t are these with the children exchanged; x == t
 * is two comparisons, and a set of values a balanced tree of them. Numbers are compared as unsigned integers in the
 * same order, their keys (tree_key32, tree_key64), into which rows are turned first. The key of NaN is above all
 * others: the comparison is false; ensembles in which a NaN has to go the other way have a bit for each node, and rows
 * that hold a NaN are walked by it. A leaf is a node whose key is its number, which is below the keys of all numbers,
 * and whose first child is itself: who has come to a leaf stays there, so that several walks are done in step.
 *
 * Nodes are narrow, 8 bytes, where thresholds and weights are floats, features are below 2^16 and trees have less than
 * 2^16 nodes; else wide, 16 bytes with keys of doubles. Narrow nodes compare floats: a double x is rounded up to the
 * next float, which compares with floats as x does.
 *
 * Sums are taken in double, tree by tree within groups of TREE_GROUP trees, then group by group, whatever the number of
 * rows and of threads.
 */
#ifndef OPS_ML_TREE_ENSEMBLE_H
#define OPS_ML_TREE_ENSEMBLE_H

#include "ops/operator.h"

#define TREE_GROUP 64

/* ------------------------------------------------------------------------------------------------------- attributes */

typedef enum tree_mode { TREE_LEQ, TREE_LT, TREE_GTE, TREE_GT, TREE_EQ, TREE_NEQ, TREE_MEMBER } tree_mode;

/* The trees as attributes describe them, whatever the version. A reference is a node's index, or, below 0, ~index of a
 * leaf. Arrays that are made lie in one region, which is freed when the ensemble is made. */
typedef struct tree_source {
  size_t nodes;
  const int64_t *features;
  const double *thresholds;
  const uint8_t *modes;
  const bool *missing_true; /* a NaN counts as true */
  const int64_t *true_refs, *false_refs;
  size_t roots;
  const int64_t *root_refs;
  size_t leaves;
  const size_t *leaf_first; /* of a leaf's votes, and behind the last one's */
  const int64_t *targets;   /* by vote */
  const double *weights;
  const double *members;      /* of TREE_MEMBER nodes: sorted, without NaN */
  const size_t *member_first; /* by node, and behind the last; NULL: there are none */
  int64_t target_count;
  bool is_double; /* some number is not given as a float */
} tree_source;

/* Attributes of TreeEnsembleRegressor and TreeEnsembleClassifier (`prefix` "target" or "class"), and of TreeEnsemble.
 * target_count must be set before, but for TreeEnsemble. Reads into `region`. */
norma_status tree_source_read(const node *node, const char *prefix, region *region, tree_source *source,
                              norma_error *error);
norma_status tree_source_read_5(const node *node, region *region, tree_source *source, norma_error *error);
/* An attribute of floats, or the tensor NAME_as_tensor, as doubles; NULL and 0 where neither is there. */
norma_status tree_read_numbers(const node *node, const char *name, const char *tensor_name, region *region,
                               const double **numbers, size_t *count, bool *is_double, norma_error *error);

/* --------------------------------------------------------------------------------------------------------- ensemble */

/* The node for x <= key stands before `after`, the one for x > key before that. */
typedef struct tree_node {
  uint32_t key;
  uint16_t feature, after;
} tree_node;

typedef struct tree_node_wide {
  uint64_t key;
  uint32_t feature, after;
} tree_node_wide;

#define TREE_NAN32 UINT32_MAX
#define TREE_NAN64 UINT64_MAX

static inline uint32_t tree_key32(float x) {
  const float zero_has_no_sign = x + 0.0f;
  uint32_t bits;
  memcpy(&bits, &zero_has_no_sign, sizeof bits);
  return x != x ? TREE_NAN32 : bits ^ ((uint32_t)((int32_t)bits >> 31) | UINT32_C(1) << 31);
}

static inline uint64_t tree_key64(double x) {
  const double zero_has_no_sign = x + 0.0;
  uint64_t bits;
  memcpy(&bits, &zero_has_no_sign, sizeof bits);
  return x != x ? TREE_NAN64 : bits ^ ((uint64_t)((int64_t)bits >> 63) | UINT64_C(1) << 63);
}

typedef struct tree {
  size_t first_node, first_leaf;
  int32_t least_depth, most_depth; /* of leaves */
} tree;

/* What leaves vote. */
typedef enum tree_votes {
  TREE_VOTES_ONE,   /* one target each */
  TREE_VOTES_ALL,   /* all targets, in order */
  TREE_VOTES_SPARSE /* any */
} tree_votes;

typedef struct tree_ensemble {
  bool wide;
  size_t trees;
  const tree *tree;
  const tree_node *narrow;
  const tree_node_wide *wide_nodes;
  const uint64_t *nan_bits; /* by node: a NaN goes to the second child; NULL: nowhere */
  int64_t features;         /* rows must have at least as many */
  tree_votes votes;
  const void *weights;      /* floats, or doubles where nodes are wide: by leaf, by leaf and target, or by vote */
  const uint32_t *targets;  /* by leaf, or by vote; NULL: all are 0, or votes are of all */
  const size_t *vote_first; /* of SPARSE: by leaf, and behind the last */
  int64_t target_count;
  bool votes_for_all; /* every row has votes for every target */
  double mean_depth;  /* of leaves */
} tree_ensemble;

/* Makes the ensemble in `region`. Trees that go round in a circle are refused. */
norma_status tree_ensemble_make(const node *node, const tree_source *source, region *region, tree_ensemble *ensemble,
                                norma_error *error);

/* ---------------------------------------------------------------------------------------------------------- walking */

/* Rows as walks take them: keys, `stride` apart. */
typedef struct tree_rows {
  const void *keys; /* of 32 bits, or of 64 where nodes are wide */
  int64_t stride, count;
  const bool *has_nan; /* by row; NULL: no row, or the ensemble has no bits */
} tree_rows;

/* leaves[i] is the leaf, counted through all trees, that row i comes to in tree `index`. */
void tree_walk_rows(const tree_ensemble *ensemble, size_t index, const tree_rows *rows, uint32_t *leaves);
/* leaves[i] is the leaf that the one row comes to in tree first + i, i < count <= TREE_GROUP. */
void tree_walk_trees(const tree_ensemble *ensemble, size_t first, size_t count, const tree_rows *row, uint32_t *leaves);

#endif
