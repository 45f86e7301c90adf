/*
 * TreeEnsembleRegressor 1, 3; TreeEnsembleClassifier 1, 3; TreeEnsemble 5 (ai.onnx.ml): votes of decision trees.
 *
 * X is [N, F] or [F], of float, double, int64 or int32 (TreeEnsemble: float, double or float16). Each tree leads a row
 * to one leaf, whose weights are votes for targets or classes; they are summed (or averaged over the trees, or the
 * least or largest taken), base_values are added, and the whole is transformed (ops/ml/post_transform.h). What nobody
 * votes for is 0.
 *
 * 3: *_as_tensor, attributes of double. 5: TreeEnsemble takes the place of both, which stay as they were; leaves are
 * apart from nodes, and BRANCH_MEMBER is a set. How trees are held and walked stands in ops/ml/tree_ensemble.h.
 *
 * TreeEnsembleRegressor  Y [N, n_targets] of float
 * TreeEnsemble           Y [N, n_targets] of X's type
 * TreeEnsembleClassifier Y [N], the label of the largest number, of equal ones the first, among classes that had a
 *                        vote; Z [N, E] of float, the numbers. With two labels, and all votes for one class, their sum
 *                        is a score: Y is the second label where it is above 0.5 (all weights are at least 0) or above
 *                        0 (others, and LOGISTIC); of votes for the first class Z becomes 1 - score and score (or
 *                        -score and score, as ops/ml/post_transform.h has it), of votes for the second 0 and score.
 *                        With one label, Y is 1 where the number is above 0, else 0.
 */
#include "ops/ml/class_labels.h"
#include "ops/ml/features.h"
#include "ops/ml/post_transform.h"
#include "ops/ml/tree_sums.h"
#include "ops/work.h"

#include <inttypes.h>

typedef struct tree_model_state {
  tree_sums sums;
  bool is_classifier, keeps_type; /* keeps_type: Y is of X's type */
  post_transform transform;
  const double *base; /* by target; NULL: 0 */
  class_labels labels;
  int64_t score_class; /* of two classes the one that has all votes; -1: there is none such */
  bool score_is_probability;

  /* The plan's. */
  size_t classes_at; /* in scratch */
  size_t scores_at;  /* in a worker's */
} tree_model_state;

/* ------------------------------------------------------------------------------------------------------------- read */

static norma_status tree_read_aggregate(const node *node, tree_aggregate *aggregate, norma_error *error) {
  static const char *const names[] = {"AVERAGE", "SUM", "MIN", "MAX"};
  const attribute *given = node_attribute(node, "aggregate_function");
  *aggregate = TREE_SUM;
  if (!given) return NORMA_OK;
  int64_t found = given->kind == ATTRIBUTE_INT ? given->i : 0;
  while (given->kind == ATTRIBUTE_STRING && found < 4 && strcmp(given->s.data, names[found]) != 0) found++;
  if (found < 0 || found > TREE_MAX)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "aggregate_function does not exist");
  *aggregate = (tree_aggregate)found;
  return NORMA_OK;
}

/* One number for each target; of a score, for its class alone too. */
static norma_status tree_read_base(const node *node, tree_model_state *state, region *work, norma_error *error) {
  const size_t targets = (size_t)state->sums.ensemble.target_count;
  const double *given;
  size_t count;
  bool is_double = false;
  TRY(tree_read_numbers(node, "base_values", "base_values_as_tensor", work, &given, &count, &is_double, error));
  if (count == 0) return NORMA_OK;
  double *base = region_array(node->graph->region, targets, sizeof *base);
  if (!base) return region_error(node->graph->region, error);
  if (count == 1 && state->score_class >= 0)
    base[state->score_class] = given[0];
  else if (count == targets)
    memcpy(base, given, targets * sizeof *base);
  else
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has %zu base_values for %zu targets", count, targets);
  state->base = base;
  return NORMA_OK;
}

/* Whether the votes are for one of two classes only. */
static void tree_find_score(const tree_source *source, tree_model_state *state) {
  const size_t votes = source->leaves > 0 ? source->leaf_first[source->leaves] : 0;
  state->score_class = -1;
  if (!state->is_classifier || state->labels.count != 2 || votes == 0) return;
  state->score_class = source->targets[0];
  state->score_is_probability = true;
  for (size_t i = 0; i < votes; i++) {
    if (source->targets[i] != state->score_class) state->score_class = -1;
    if (source->weights[i] < 0) state->score_is_probability = false;
    if (state->score_class < 0) return;
  }
}

static norma_status tree_read_source(const node *node, tree_model_state *state, region *work, tree_source *source,
                                     norma_error *error) {
  if (state->keeps_type) {
    TRY(tree_source_read_5(node, work, source, error));
  } else if (state->is_classifier) {
    TRY(class_labels_read(node, "classlabels_int64s", "classlabels_strings", &state->labels, error));
    source->target_count = (int64_t)state->labels.count;
    TRY(tree_source_read(node, "class", work, source, error));
  } else {
    source->target_count = attribute_int(node, "n_targets", 1);
    TRY(tree_source_read(node, "target", work, source, error));
  }
  if (source->target_count < 1 || source->target_count > INT32_MAX)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has %" PRId64 " targets", source->target_count);
  return NORMA_OK;
}

static norma_status tree_make_model(const node *node, tree_model_state *state, region *work, norma_error *error) {
  tree_source source = {0};
  tree_sums *sums = &state->sums;
  state->is_classifier = strcmp(node->op_type, "TreeEnsembleClassifier") == 0;
  state->keeps_type = strcmp(node->op_type, "TreeEnsemble") == 0;
  TRY(tree_read_aggregate(node, &sums->aggregate, error));
  TRY(post_transform_read(node, &state->transform, error));
  TRY(tree_read_source(node, state, work, &source, error));
  TRY(tree_ensemble_make(node, &source, node->graph->region, &sums->ensemble, error));
  tree_find_score(&source, state);
  if (!state->keeps_type) TRY(tree_read_base(node, state, work, error));
  const bool asks = sums->aggregate > TREE_SUM || (state->labels.count > 2 && !state->base);
  sums->tells_votes = asks && !sums->ensemble.votes_for_all;
  return NORMA_OK;
}

static norma_status tree_model_read(const node *node, void *opaque, norma_error *error) {
  region work; /* of what the attributes are turned into on the way */
  region_init(&work, node->graph->memory);
  const norma_status status = tree_make_model(node, opaque, &work, error);
  region_free(&work);
  return status;
}

/* ------------------------------------------------------------------------------------------------------------ infer */

static norma_status tree_model_infer(infer_context *context) {
  const tree_model_state *state = context->state;
  const tree_ensemble *ensemble = &state->sums.ensemble;
  int64_t rows, features;
  TRY(infer_feature_rows(context, DIM_UNKNOWN, &rows, &features));
  if (features != DIM_UNKNOWN && features < ensemble->features)
    return infer_fail(context, "rows have %" PRId64 " features, trees ask for %" PRId64, features, ensemble->features);
  const shape labels = shape_make(1, &rows), numbers = shape_make(2, (int64_t[]){rows, ensemble->target_count});
  if (state->is_classifier) infer_output(context, 0, class_labels_type(&state->labels), &labels);
  infer_output(context, state->is_classifier ? 1 : 0, state->keeps_type ? infer_type(context, 0) : NORMA_FLOAT,
               &numbers);
  return NORMA_OK;
}

static norma_status tree_model_prepare(prepare_context *context) {
  tree_model_state *state = context->state;
  int64_t rows, features;
  size_t more = 0;
  feature_shape(prepare_shape(context, 0), &rows, &features);
  if (!scratch_append(&more, (size_t)state->sums.ensemble.target_count, sizeof(float), &state->scores_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "there are too many targets");
  TRY(tree_sums_prepare(context, &state->sums, rows, features, more));
  if (!scratch_append(&context->scratch_bytes, state->is_classifier ? (size_t)rows : 0, sizeof(int32_t),
                      &state->classes_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "there are too many rows");
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

typedef struct tree_model_work {
  run_context *context;
  int32_t *classes; /* of a classifier */
} tree_model_work;

/* A number as it is before the transform. */
static double tree_number(const tree_model_state *state, const double *totals, int64_t target) {
  double number = totals[target];
  if (state->sums.aggregate == TREE_AVERAGE && state->sums.ensemble.trees > 0)
    number /= (double)state->sums.ensemble.trees;
  return state->base ? number + state->base[target] : number;
}

static int32_t tree_class(const tree_model_state *state, const double *totals, const bool *voted) {
  const int64_t count = state->sums.ensemble.target_count;
  int32_t best = -1;
  double largest = 0;
  if (state->score_class >= 0) {
    const bool half = state->score_is_probability && state->transform != POST_TRANSFORM_LOGISTIC;
    return tree_number(state, totals, state->score_class) > (half ? 0.5 : 0);
  }
  if (count == 1) return tree_number(state, totals, 0) > 0 ? CLASS_POSITIVE : CLASS_NEGATIVE;
  for (int64_t i = 0; i < count; i++) {
    const double number = tree_number(state, totals, i);
    if ((voted && !voted[i]) || (best >= 0 && !(number > largest))) continue;
    best = (int32_t)i;
    largest = number;
  }
  return best < 0 ? 0 : best;
}

/* The numbers of one row, transformed. */
static void tree_scores(const run_context *context, const double *totals, float *scores) {
  const tree_model_state *state = context->state;
  const int64_t count = state->sums.ensemble.target_count;
  for (int64_t i = 0; i < count; i++) scores[i] = (float)tree_number(state, totals, i);
  if (state->score_class == 0) post_transform_pair(state->transform, state->score_is_probability, scores[0], scores);
  post_transform_scores(context->kernels, state->transform, scores, 1, count);
}

static void tree_model_rows(void *argument, const double *totals, const bool *voted, int64_t first, int64_t rows,
                            void *more) {
  const tree_model_work *work = argument;
  const run_context *context = work->context;
  const tree_model_state *state = context->state;
  const int64_t count = state->sums.ensemble.target_count;
  norma_tensor *result = run_output(context, state->is_classifier ? 1 : 0);
  float *scratch = (float *)(void *)((char *)more + state->scores_at);
  for (int64_t i = 0; i < rows; i++, totals += count) {
    if (work->classes) work->classes[first + i] = tree_class(state, totals, voted ? voted + i * count : NULL);
    if (!result) continue;
    const int64_t at = (first + i) * count;
    if (result->type == NORMA_FLOAT) {
      tree_scores(context, totals, (float *)result->data + at);
    } else if (state->transform == POST_TRANSFORM_NONE) {
      for (int64_t t = 0; t < count; t++)
        element_set_double(result->type, result->data, at + t, tree_number(state, totals, t));
    } else { /* transforms are of float */
      tree_scores(context, totals, scratch);
      for (int64_t t = 0; t < count; t++) element_set_double(result->type, result->data, at + t, (double)scratch[t]);
    }
  }
}

static norma_status tree_model_compute(run_context *context) {
  const tree_model_state *state = context->state;
  int64_t rows, features;
  TRY(run_feature_rows(context, DIM_UNKNOWN, &rows, &features));
  if (features < state->sums.ensemble.features)
    return run_fail(context, NORMA_ERROR_RUN, "trees ask for %" PRId64 " features", state->sums.ensemble.features);
  tree_model_work work = {.context = context};
  if (state->is_classifier && context->scratch)
    work.classes = (int32_t *)(void *)((char *)context->scratch + state->classes_at);
  TRY(tree_sums_run(context, &state->sums, rows, features, tree_model_rows, &work));
  return state->is_classifier ? class_labels_write(context, 0, &state->labels, rows, work.classes) : NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------ descriptors */

#define TREE_NODE_ATTRIBUTES                                                                                           \
  {"base_values", ATTRIBUTE_FLOATS, 1, OPERATOR_LATEST, false},                                                        \
      {"base_values_as_tensor", ATTRIBUTE_TENSOR, 3, OPERATOR_LATEST, false},                                          \
      {"nodes_falsenodeids", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},                                               \
      {"nodes_featureids", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},                                                 \
      {"nodes_hitrates", ATTRIBUTE_FLOATS, 1, OPERATOR_LATEST, false},                                                 \
      {"nodes_hitrates_as_tensor", ATTRIBUTE_TENSOR, 3, OPERATOR_LATEST, false},                                       \
      {"nodes_missing_value_tracks_true", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},                                  \
      {"nodes_modes", ATTRIBUTE_STRINGS, 1, OPERATOR_LATEST, false},                                                   \
      {"nodes_nodeids", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},                                                    \
      {"nodes_treeids", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},                                                    \
      {"nodes_truenodeids", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},                                                \
      {"nodes_values", ATTRIBUTE_FLOATS, 1, OPERATOR_LATEST, false},                                                   \
      {"nodes_values_as_tensor", ATTRIBUTE_TENSOR, 3, OPERATOR_LATEST, false}, {                                       \
    "post_transform", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false                                                      \
  }

static const operator_attribute tree_classifier_attributes[] = {
    TREE_NODE_ATTRIBUTES,
    {"class_ids", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"class_nodeids", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"class_treeids", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"class_weights", ATTRIBUTE_FLOATS, 1, OPERATOR_LATEST, false},
    {"class_weights_as_tensor", ATTRIBUTE_TENSOR, 3, OPERATOR_LATEST, false},
    {"classlabels_int64s", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"classlabels_strings", ATTRIBUTE_STRINGS, 1, OPERATOR_LATEST, false},
    {0},
};

static const operator_attribute tree_regressor_attributes[] = {
    TREE_NODE_ATTRIBUTES,
    {"aggregate_function", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"n_targets", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"target_ids", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"target_nodeids", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"target_treeids", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"target_weights", ATTRIBUTE_FLOATS, 1, OPERATOR_LATEST, false},
    {"target_weights_as_tensor", ATTRIBUTE_TENSOR, 3, OPERATOR_LATEST, false},
    {0},
};

static const operator_attribute tree_ensemble_attributes[] = {
    {"aggregate_function", ATTRIBUTE_INT, 5, OPERATOR_LATEST, false},
    {"leaf_targetids", ATTRIBUTE_INTS, 5, OPERATOR_LATEST, true},
    {"leaf_weights", ATTRIBUTE_TENSOR, 5, OPERATOR_LATEST, true},
    {"membership_values", ATTRIBUTE_TENSOR, 5, OPERATOR_LATEST, false},
    {"n_targets", ATTRIBUTE_INT, 5, OPERATOR_LATEST, false},
    {"nodes_falseleafs", ATTRIBUTE_INTS, 5, OPERATOR_LATEST, true},
    {"nodes_falsenodeids", ATTRIBUTE_INTS, 5, OPERATOR_LATEST, true},
    {"nodes_featureids", ATTRIBUTE_INTS, 5, OPERATOR_LATEST, true},
    {"nodes_hitrates", ATTRIBUTE_TENSOR, 5, OPERATOR_LATEST, false},
    {"nodes_missing_value_tracks_true", ATTRIBUTE_INTS, 5, OPERATOR_LATEST, false},
    {"nodes_modes", ATTRIBUTE_TENSOR, 5, OPERATOR_LATEST, true},
    {"nodes_splits", ATTRIBUTE_TENSOR, 5, OPERATOR_LATEST, true},
    {"nodes_trueleafs", ATTRIBUTE_INTS, 5, OPERATOR_LATEST, true},
    {"nodes_truenodeids", ATTRIBUTE_INTS, 5, OPERATOR_LATEST, true},
    {"post_transform", ATTRIBUTE_INT, 5, OPERATOR_LATEST, false},
    {"tree_roots", ATTRIBUTE_INTS, 5, OPERATOR_LATEST, true},
    {0},
};

#define TREE_MODEL(op, outputs, list, ...)                                                                             \
  {                                                                                                                    \
    .domain = "ai.onnx.ml", .name = op, .versions = {__VA_ARGS__}, .min_inputs = 1, .max_inputs = 1,                   \
    .min_outputs = outputs, .max_outputs = outputs, .types = {{TYPES_FEATURES, INPUT(0), 0}}, .attributes = list,      \
    .state_size = sizeof(tree_model_state), .read = tree_model_read, .infer = tree_model_infer,                        \
    .prepare = tree_model_prepare, .compute = tree_model_compute,                                                      \
  }

const operator_descriptor operators_tree_model[] = {
    TREE_MODEL("TreeEnsembleClassifier", 2, tree_classifier_attributes, 1, 3),
    TREE_MODEL("TreeEnsembleRegressor", 1, tree_regressor_attributes, 1, 3),
    {
        .domain = "ai.onnx.ml",
        .name = "TreeEnsemble",
        .versions = {5},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_DOUBLE) | TYPE_BIT(NORMA_FLOAT16), INPUT(0), OUTPUT(0)}},
        .attributes = tree_ensemble_attributes,
        .state_size = sizeof(tree_model_state),
        .read = tree_model_read,
        .infer = tree_model_infer,
        .prepare = tree_model_prepare,
        .compute = tree_model_compute,
    },
    {0},
};
