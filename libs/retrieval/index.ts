/** Query → hits → moments. */
export { type Evidence, type Modality, type Moment, type SearchOptions, search } from './search.ts';
