#include "ops/ml/tree_sums.h"

#include "ops/ml/features.h"
#include "ops/work.h"

#include <math.h>

#define BLOCK_ROWS    256         /* so many read a tree while it is in the cache */
#define BLOCK_NUMBERS (16 * 1024) /* of totals: 128 KiB */
#define TREE_LANES    8           /* rows that walk together; what is left over walks alone, through several trees */

/* ---------------------------------------------------------------------------------------------------------- prepare */

/* Operations for one row, some four for each step of a walk. */
static double row_cost(const tree_ensemble *ensemble) {
  const double votes = ensemble->votes == TREE_VOTES_ALL ? (double)ensemble->target_count : 2;
  return (double)ensemble->trees * (4 * (ensemble->mean_depth + 2) + votes);
}

static int64_t choose_block(const tree_ensemble *ensemble, int64_t rows, int workers) {
  int64_t block = BLOCK_NUMBERS / ensemble->target_count;
  const int64_t each = divide_up(divide_up(rows, 4 * (int64_t)workers), TREE_LANES) * TREE_LANES;
  if (block > BLOCK_ROWS) block = BLOCK_ROWS;
  if (workers > 1 && block > each) block = each;
  if (block > rows) block = rows;
  return block < 1 ? 1 : block;
}

norma_status tree_sums_prepare(prepare_context *context, tree_sums *sums, int64_t rows, int64_t features, size_t more) {
  const tree_ensemble *ensemble = &sums->ensemble;
  const double cost = (double)rows * row_cost(ensemble);
  size_t total = 0;
  sums->groups = (ensemble->trees + TREE_GROUP - 1) / TREE_GROUP;
  const bool few_rows = rows < (int64_t)context->workers * TREE_LANES;
  sums->cuts_rows = !(few_rows && sums->groups > 1 && context->workers > 1 && cost > 4 * WORK_LEAST);
  sums->block_rows = sums->cuts_rows ? choose_block(ensemble, rows, context->workers) : rows;
  const size_t block = (size_t)sums->block_rows, numbers = block * (size_t)ensemble->target_count;
  const size_t parts = sums->cuts_rows ? 1 : sums->groups;
  const size_t key = ensemble->wide ? sizeof(uint64_t) : sizeof(uint32_t);
  size_t elements, all_numbers;
  if (!size_multiply(block, (size_t)features, &elements) || !size_multiply(numbers, parts, &all_numbers) ||
      !scratch_append(&total, elements, key, &sums->keys_at) ||
      !scratch_append(&total, block, sizeof(bool), &sums->nan_at) ||
      !scratch_append(&total, all_numbers, sizeof(double), &sums->part_at) ||
      !scratch_append(&total, sums->tells_votes ? all_numbers : 0, sizeof(bool), &sums->part_voted_at) ||
      !scratch_append(&total, numbers, sizeof(double), &sums->total_at) ||
      !scratch_append(&total, sums->tells_votes ? numbers : 0, sizeof(bool), &sums->voted_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "a block of rows is too large");
  sums->shared_bytes = sums->cuts_rows ? 0 : total;
  sums->worker_bytes = sums->cuts_rows ? total : 0;
  if (!scratch_append(&sums->worker_bytes, block > TREE_GROUP ? block : TREE_GROUP, sizeof(uint32_t), &sums->leaves_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "a block of rows is too large");
  context->scratch_bytes = sums->shared_bytes;
  context->worker_scratch_bytes = sums->worker_bytes + more;
  context->flops = cost;
  context->kernel_name = ensemble->wide ? "wide nodes" : "narrow nodes";
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------------- rows */

typedef struct tree_job {
  run_context *context;
  const tree_sums *sums;
  int64_t rows, features;
  tree_sums_body *body;
  void *argument;
} tree_job;

#define KEY_PIECE 256 /* elements that are converted together */

/* Up to the next float, where a double is none: it compares with floats as the double does. */
static void features_to_float_above(const double *x, int64_t count, float *result) {
  for (int64_t i = 0; i < count; i++) {
    const float near = (float)x[i];
    result[i] = (double)near < x[i] ? nextafterf(near, INFINITY) : near;
  }
}

/* Keys of elements first .. first + count - 1 of X. */
static void load_keys(const tree_ensemble *ensemble, const norma_tensor *x, int64_t first, int64_t count, void *keys) {
  float floats[KEY_PIECE];
  double doubles[KEY_PIECE];
  for (int64_t done = 0, piece; done < count; done += piece) {
    piece = count - done < KEY_PIECE ? count - done : KEY_PIECE;
    const float *single = floats;
    if (ensemble->wide) {
      features_to_double(x->type, x->data, first + done, piece, doubles);
      for (int64_t i = 0; i < piece; i++) ((uint64_t *)keys)[done + i] = tree_key64(doubles[i]);
      continue;
    }
    if (x->type == NORMA_FLOAT)
      single = (const float *)x->data + first + done;
    else if (x->type == NORMA_DOUBLE)
      features_to_float_above((const double *)x->data + first + done, piece, floats);
    else
      features_to_float(x->type, x->data, first + done, piece, floats);
    for (int64_t i = 0; i < piece; i++) ((uint32_t *)keys)[done + i] = tree_key32(single[i]);
  }
}

/* Whether rows hold a NaN. */
static bool find_nans(const tree_ensemble *ensemble, const tree_rows *rows, bool *has_nan) {
  bool any = false;
  for (int64_t i = 0; i < rows->count; i++) {
    const int64_t first = i * rows->stride;
    has_nan[i] = false;
    for (int64_t f = first; f < first + ensemble->features; f++) {
      has_nan[i] = has_nan[i] || (ensemble->wide ? ((const uint64_t *)rows->keys)[f] == TREE_NAN64
                                                 : ((const uint32_t *)rows->keys)[f] == TREE_NAN32);
    }
    any = any || has_nan[i];
  }
  return any;
}

/* Rows first .. first + count - 1 as walks take them; `block` is the scratch of the block. */
static tree_rows load_tree_rows(const tree_job *job, int64_t first, int64_t count, char *block) {
  static const uint64_t nothing = TREE_NAN64; /* what leaves compare where there are no features */
  const tree_sums *sums = job->sums;
  tree_rows rows = {.keys = &nothing, .stride = job->features, .count = count};
  if (job->features > 0) {
    load_keys(&sums->ensemble, run_input(job->context, 0), first * job->features, count * job->features,
              block + sums->keys_at);
    rows.keys = block + sums->keys_at;
  }
  bool *has_nan = (bool *)(block + sums->nan_at);
  if (sums->ensemble.nan_bits && find_nans(&sums->ensemble, &rows, has_nan)) rows.has_nan = has_nan;
  return rows;
}

/* ----------------------------------------------------------------------------------------------------------- voting */

/* The votes of some rows. */
typedef struct tree_tally {
  double *numbers; /* [rows][targets] */
  bool *voted;     /* NULL: not asked for */
} tree_tally;

static void tally_clear(const tree_sums *sums, const tree_tally *tally, int64_t rows) {
  const int64_t count = rows * sums->ensemble.target_count;
  const double first = sums->aggregate == TREE_MIN ? INFINITY : sums->aggregate == TREE_MAX ? -INFINITY : 0;
  for (int64_t i = 0; i < count; i++) tally->numbers[i] = first;
  if (tally->voted) memset(tally->voted, 0, (size_t)count * sizeof *tally->voted);
}

static inline double aggregate_two(tree_aggregate aggregate, double a, double b) {
  if (aggregate == TREE_MIN) return b < a ? b : a;
  if (aggregate == TREE_MAX) return b > a ? b : a;
  return a + b;
}

static inline double weight_at(const tree_ensemble *ensemble, size_t index) {
  return ensemble->wide ? ((const double *)ensemble->weights)[index]
                        : (double)((const float *)ensemble->weights)[index];
}

/* One leaf's votes for one row: numbers of all targets. */
static void count_votes(const tree_sums *sums, size_t leaf, double *numbers, bool *voted) {
  const tree_ensemble *ensemble = &sums->ensemble;
  size_t begin = leaf, end = leaf + 1;
  if (ensemble->votes == TREE_VOTES_SPARSE) {
    begin = ensemble->vote_first[leaf];
    end = ensemble->vote_first[leaf + 1];
  }
  for (size_t v = begin; v < end; v++) {
    const size_t target = ensemble->targets ? ensemble->targets[v] : 0;
    numbers[target] = aggregate_two(sums->aggregate, numbers[target], weight_at(ensemble, v));
    if (voted) voted[target] = true;
  }
}

/* The same where the leaf has a vote for each target, in order. */
static void count_all_votes(const tree_sums *sums, size_t leaf, double *numbers) {
  const tree_ensemble *ensemble = &sums->ensemble;
  const size_t count = (size_t)ensemble->target_count, first = leaf * count;
  if (!ensemble->wide && sums->aggregate <= TREE_SUM) {
    const float *weights = (const float *)ensemble->weights + first;
    for (size_t t = 0; t < count; t++) numbers[t] += (double)weights[t];
    return;
  }
  for (size_t t = 0; t < count; t++)
    numbers[t] = aggregate_two(sums->aggregate, numbers[t], weight_at(ensemble, first + t));
}

/* Whether each vote is a float that is added to the number of target 0, of which no more is asked. */
static bool adds_floats(const tree_sums *sums, const tree_tally *tally) {
  const tree_ensemble *ensemble = &sums->ensemble;
  return ensemble->votes == TREE_VOTES_ONE && !ensemble->targets && !tally->voted && !ensemble->wide &&
         sums->aggregate <= TREE_SUM;
}

/* Leaves that rows have come to in one tree. */
static void count_leaves(const tree_sums *sums, const uint32_t *leaves, int64_t rows, const tree_tally *tally) {
  const tree_ensemble *ensemble = &sums->ensemble;
  const int64_t targets = ensemble->target_count;
  if (adds_floats(sums, tally)) {
    const float *weights = ensemble->weights;
    for (int64_t i = 0; i < rows; i++) tally->numbers[i * targets] += (double)weights[leaves[i]];
    return;
  }
  for (int64_t i = 0; i < rows; i++) {
    if (ensemble->votes == TREE_VOTES_ALL)
      count_all_votes(sums, leaves[i], tally->numbers + i * targets);
    else
      count_votes(sums, leaves[i], tally->numbers + i * targets, tally->voted ? tally->voted + i * targets : NULL);
  }
}

/* Leaves that one row has come to in several trees. */
static void count_trees(const tree_sums *sums, const uint32_t *leaves, size_t trees, const tree_tally *tally) {
  if (adds_floats(sums, tally)) {
    const float *weights = sums->ensemble.weights;
    double number = tally->numbers[0];
    for (size_t i = 0; i < trees; i++) number += (double)weights[leaves[i]];
    tally->numbers[0] = number;
    return;
  }
  for (size_t i = 0; i < trees; i++) count_leaves(sums, leaves + i, 1, tally);
}

static void tally_add(const tree_sums *sums, const tree_tally *total, const tree_tally *part, int64_t rows) {
  const int64_t count = rows * sums->ensemble.target_count;
  for (int64_t i = 0; i < count; i++)
    total->numbers[i] = aggregate_two(sums->aggregate, total->numbers[i], part->numbers[i]);
  for (int64_t i = 0; total->voted && i < count; i++) total->voted[i] = total->voted[i] || part->voted[i];
}

/* What nobody has voted for is 0. */
static void tally_close(const tree_sums *sums, const tree_tally *total, int64_t rows) {
  const int64_t count = rows * sums->ensemble.target_count;
  for (int64_t i = 0; sums->aggregate > TREE_SUM && i < count; i++) {
    const bool voted = total->voted ? total->voted[i] : sums->ensemble.votes_for_all;
    if (!voted) total->numbers[i] = 0;
  }
}

/* ---------------------------------------------------------------------------------------------------------- running */

/* The trees of one group, for one row, which walks through several of them at once. */
static void count_group_of_row(const tree_sums *sums, size_t first, size_t count, const tree_rows *rows, int64_t row,
                               const tree_tally *part, uint32_t *leaves) {
  const int64_t targets = sums->ensemble.target_count;
  const size_t key = sums->ensemble.wide ? sizeof(uint64_t) : sizeof(uint32_t);
  const tree_rows one = {.keys = (const char *)rows->keys + (size_t)(row * rows->stride) * key,
                         .stride = rows->stride,
                         .count = 1,
                         .has_nan = rows->has_nan ? rows->has_nan + row : NULL};
  const tree_tally tally = {part->numbers + row * targets, part->voted ? part->voted + row * targets : NULL};
  tree_walk_trees(&sums->ensemble, first, count, &one, leaves);
  count_trees(sums, leaves, count, &tally);
}

/* The same for all rows: as many as fill the lanes of walks go through each tree together. */
static void count_group(const tree_job *job, size_t group, const tree_rows *rows, const tree_tally *part,
                        uint32_t *leaves) {
  const tree_sums *sums = job->sums;
  const tree_ensemble *ensemble = &sums->ensemble;
  const size_t first = group * TREE_GROUP, left = ensemble->trees - first;
  const size_t count = left < TREE_GROUP ? left : TREE_GROUP;
  tree_rows together = *rows;
  together.count -= together.count % TREE_LANES;
  tally_clear(sums, part, rows->count);
  for (size_t i = 0; together.count > 0 && i < count && !run_cancelled(job->context); i++) {
    tree_walk_rows(ensemble, first + i, &together, leaves);
    count_leaves(sums, leaves, together.count, part);
  }
  for (int64_t row = together.count; row < rows->count; row++)
    count_group_of_row(sums, first, count, rows, row, part, leaves);
}

static tree_tally tally_in(const tree_sums *sums, char *block, size_t numbers_at, size_t voted_at, size_t skipped) {
  return (tree_tally){(double *)(void *)(block + numbers_at) + skipped,
                      sums->tells_votes ? (bool *)(block + voted_at) + skipped : NULL};
}

/* The caller's bytes of a worker stand behind ours. */
static void *more_of_worker(const tree_job *job, int worker) {
  return (char *)run_worker_scratch(job->context, worker) + job->sums->worker_bytes;
}

static void tree_blocks(void *argument, int64_t begin, int64_t end, int worker) {
  const tree_job *job = argument;
  const tree_sums *sums = job->sums;
  char *scratch = run_worker_scratch(job->context, worker);
  const tree_tally total = tally_in(sums, scratch, sums->total_at, sums->voted_at, 0);
  const tree_tally part = tally_in(sums, scratch, sums->part_at, sums->part_voted_at, 0);
  for (int64_t b = begin; b < end; b++) {
    const int64_t first = b * sums->block_rows, left = job->rows - first;
    const int64_t count = left < sums->block_rows ? left : sums->block_rows;
    const tree_rows rows = load_tree_rows(job, first, count, scratch);
    tally_clear(sums, &total, count);
    for (size_t group = 0; group < sums->groups; group++) {
      count_group(job, group, &rows, &part, (uint32_t *)(void *)(scratch + sums->leaves_at));
      tally_add(sums, &total, &part, count);
    }
    tally_close(sums, &total, count);
    job->body(job->argument, total.numbers, total.voted, first, count, more_of_worker(job, worker));
  }
}

typedef struct tree_group_job {
  const tree_job *job;
  tree_rows rows;
} tree_group_job;

static void tree_groups(void *argument, int64_t begin, int64_t end, int worker) {
  const tree_group_job *groups = argument;
  const tree_sums *sums = groups->job->sums;
  const size_t numbers = (size_t)(groups->rows.count * sums->ensemble.target_count);
  char *scratch = run_worker_scratch(groups->job->context, worker);
  for (int64_t g = begin; g < end; g++) {
    const tree_tally part =
        tally_in(sums, groups->job->context->scratch, sums->part_at, sums->part_voted_at, (size_t)g * numbers);
    count_group(groups->job, (size_t)g, &groups->rows, &part, (uint32_t *)(void *)(scratch + sums->leaves_at));
  }
}

static norma_status run_groups(const tree_job *job) {
  const tree_sums *sums = job->sums;
  char *scratch = job->context->scratch;
  const size_t numbers = (size_t)(job->rows * sums->ensemble.target_count);
  tree_group_job groups = {.job = job, .rows = load_tree_rows(job, 0, job->rows, scratch)};
  const tree_tally total = tally_in(sums, scratch, sums->total_at, sums->voted_at, 0);
  TRY(run_parallel(job->context, (int64_t)sums->groups, 1, tree_groups, &groups));
  tally_clear(sums, &total, job->rows);
  for (size_t group = 0; group < sums->groups; group++) {
    const tree_tally part = tally_in(sums, scratch, sums->part_at, sums->part_voted_at, group * numbers);
    tally_add(sums, &total, &part, job->rows);
  }
  tally_close(sums, &total, job->rows);
  job->body(job->argument, total.numbers, total.voted, 0, job->rows, more_of_worker(job, 0));
  return NORMA_OK;
}

norma_status tree_sums_run(run_context *context, const tree_sums *sums, int64_t rows, int64_t features,
                           tree_sums_body *body, void *argument) {
  tree_job job = {
      .context = context, .sums = sums, .rows = rows, .features = features, .body = body, .argument = argument};
  if (rows == 0) return NORMA_OK;
  if (!sums->cuts_rows) return run_groups(&job);
  return run_parallel(context, divide_up(rows, sums->block_rows), 1, tree_blocks, &job);
}
