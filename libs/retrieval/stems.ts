import { terms } from '#store';

/** Stems of forms that no rule makes, and the stem they belong to: the commonest irregular verbs and plurals of English. */
const IRREGULAR = new Map(
  (
    'goe:go went:go gone:go came:come took:take taken:take made:make gave:give given:give got:get knew:know known:know thought:think found:find ' +
    'saw:see seen:see said:say told:tell felt:feel left:leave kept:keep began:begin begun:begin wrote:write written:write stood:stand heard:hear met:meet ' +
    'ran:run paid:pay sat:sit spoke:speak spoken:speak led:lead grew:grow lost:lose fell:fall fallen:fall sent:send built:build drew:draw drawn:draw ' +
    'broke:break broken:break spent:spend drove:drive driven:drive bought:buy wore:wear worn:wear chose:choose chosen:choose ate:eat eaten:eat ' +
    'flew:fly flown:fly sang:sing sung:sing slept:sleep taught:teach caught:catch held:hold brought:bring sold:sell won:win ' +
    'men:man women:woman children:child feet:foot teeth:tooth mice:mouse geese:goose'
  )
    .split(' ')
    .map((pair) => pair.split(':') as [string, string]),
);

/** The store's terms, with irregular forms as their base, so that "where does she go" meets "she goes" and "she went". */
export const stems = (text: string): string[] => terms(text).map((term) => IRREGULAR.get(term) ?? term);
