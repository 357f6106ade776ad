/** Query → hits → moments → answer. */
export * from './answer/index.ts';
export { everyPlace } from './every-place.ts';
export {
  type HeldLabel,
  type LabelInVideo,
  type Labels,
  labelsOfMoments,
  labelsOfVideo,
  readLabels,
} from './labels.ts';
export { flawOf } from './query.ts';
export {
  type Evidence,
  type Modality,
  type Moment,
  type SearchDeps,
  type SearchOptions,
  search,
  type TextEncoder,
} from './search.ts';
export { searchSequence, stepQuery } from './sequence.ts';
export { type TitledVideo, Titles } from './titles.ts';
