/* SPDX-License-Identifier: Apache-2.0 */
#include "embed/hash_prior.h"

/* Words that say how, not what; also what an apostrophe leaves behind. */
static const char stop_words[] =
    "a about above after again all also am an and any are aren as at be because "
    "been before being below between both but by can could couldn d did didn do "
    "does doesn doing don down during each either else few for from further had "
    "hadn has hasn have haven having he her here hers herself him himself his how i "
    "if in into is isn it its itself just ll m me might more most much must my "
    "myself neither no nor not now of off on once only onto or other our ours "
    "ourselves out over own per quite rather re s same shall she should shouldn so "
    "some such t than that the their theirs them themselves then there these they "
    "this those though through to too under until up upon us ve very was wasn we "
    "were weren what when where whether which while who whom whose why will with "
    "within without won would wouldn yet you your yours yourself";

/*
 * Ranks by Zipf's law: the word of rank r is one word in about 10 r, so that a message
 * of 30 words has it with p = 3 / r; the weight is sqrt(ln(1 / p)).
 */
static const struct {
    unsigned weight; /* thousandths */
    const char *words;
} tiers[] = {
    {1650, /* rank about 50 */
     "get go know like make one say see take think time want use good new people "
     "way year day two first last thing really need well even come work look back "
     "let ok yes please thank hello hi hey yeah sure"},
    {1870, /* about 100 */
     "tell ask find give feel try call help mean keep put seem leave start show "
     "talk today tomorrow yesterday week month night morning man woman child world "
     "life hand part place case point right left long little great big old high "
     "different small large next early young important bad able never always still "
     "maybe something anything nothing everything someone anyone everyone many lot "
     "kind bit three four five got going gone made said went done been came"},
    {2050, /* about 200 */
     "love home house family friend school name number problem question answer fact "
     "story idea group company program system state country city water room mother "
     "father area money student job word business issue side head service power "
     "hour game line end member law car book eye door health person art war history "
     "party result change reason research girl guy moment air teacher force play "
     "run move live believe hold bring happen write provide sit stand lose pay meet "
     "include continue set learn lead understand watch follow stop create speak "
     "read allow add spend grow open walk win offer remember consider appear buy "
     "wait serve die send expect build stay fall cut reach kill remain hope wonder "
     "care nice best better enough soon later ago often together away already "
     "around far second half another every long sorry happy hard easy true real "
     "whole free full sound great fun cool actually probably usually since may "
     "minute"},
    {2210, /* about 400 */
     "mind body office level order foot boy age policy music process study market "
     "sense plan nation death interest experience effect class field development "
     "role effort rate heart drug light voice wife police husband brother sister "
     "son daughter kid baby dog cat food dinner lunch breakfast coffee drink eat "
     "cook sleep bed phone email message text computer internet site page list "
     "paper letter picture photo video movie film show song team sport travel trip "
     "visit street road town store price cost bank dollar data information example "
     "type form share table color red blue green black white test model user code "
     "file set type version support error value function key input output report "
     "project meeting team manager customer product order account event date "
     "birthday weekend summer winter spring monday tuesday wednesday thursday "
     "friday saturday sunday january february march april june july august "
     "september october november december suggest recommend decide return explain "
     "develop carry break receive agree support hit produce cover catch draw choose "
     "wear push check enjoy feel finish plan prefer join miss worry share improve "
     "manage hear turn raise pass sell require pull strong possible special clear "
     "recent late single sick tired busy ready simple main available certain common "
     "public private local personal general close short low dark hot cold warm "
     "favorite beautiful wrong crazy amazing interesting"},
    {2360, /* about 800 */
     "hospital doctor patient medicine cancer pain stress memory decision "
     "difference situation condition position performance relationship management "
     "government president economy community society culture environment nature "
     "energy science technology industry organization department director resource "
     "material language english french spanish chinese german american book author "
     "writer artist character scene camera guitar piano band concert theater museum "
     "park beach ocean lake river mountain island tree flower garden bird fish "
     "horse animal kitchen bathroom bedroom window wall floor chair desk box bag "
     "shoe shirt dress clothes hair face arm leg skin blood weight exercise gym "
     "yoga run bike train bus flight airport hotel restaurant bar pizza chicken "
     "cheese bread rice fruit apple sugar salt recipe dish meal chocolate cake wine "
     "beer tea milk budget tax loan credit insurance contract salary interview "
     "resume career boss colleague college university degree course exam grade "
     "lesson homework essay math physics chemistry biology software hardware server "
     "network database script python java api token query client request response "
     "install update download upload click button screen laptop keyboard printer "
     "password login website blog post comment news article magazine radio "
     "television channel episode series season player coach score goal ball race "
     "match championship training practice skill goal habit routine schedule "
     "calendar appointment deadline reminder task note detail feature option method "
     "approach strategy solution step section chapter topic subject theory analysis "
     "article source image design style shape size length width speed temperature "
     "weather rain snow wind storm sun moon star space"},
};

static void put(struct mf_hash_prior *p, uint64_t key, unsigned weight)
{
    size_t i = key & (MF_HASH_PRIOR_SLOTS - 1);

    while (p->key[i] != 0) {
        if (p->key[i] == key) {
            return; /* the first table that has the word, the commoner one, counts */
        }
        i = (i + 1) & (MF_HASH_PRIOR_SLOTS - 1);
    }
    p->key[i] = key;
    p->weight[i] = (uint16_t)weight;
}

static void put_words(struct mf_hash_prior *p, const char *words, unsigned weight)
{
    struct mf_slice text = mf_slice_str(words);
    struct mf_hash_word w;

    for (size_t at = 0; mf_hash_word_next(text, &at, &w);) {
        if (weight != MF_HASH_WEIGHT_STOP) {
            mf_hash_word_stem(&w);
        }
        put(p, mf_hash_word_key(&w), weight);
    }
}

void mf_hash_prior_init(struct mf_hash_prior *p)
{
    memset(p, 0, sizeof(*p));
    put_words(p, stop_words, MF_HASH_WEIGHT_STOP);
    for (size_t i = 0; i < mf_countof(tiers); i++) {
        put_words(p, tiers[i].words, tiers[i].weight);
    }
}

unsigned mf_hash_prior_weight(const struct mf_hash_prior *p, uint64_t key)
{
    size_t i = key & (MF_HASH_PRIOR_SLOTS - 1);

    while (p->key[i] != 0) {
        if (p->key[i] == key) {
            return p->weight[i];
        }
        i = (i + 1) & (MF_HASH_PRIOR_SLOTS - 1);
    }
    return MF_HASH_WEIGHT_RARE;
}
